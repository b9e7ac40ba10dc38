// elenchus predict: the classes of rows.

#include "jobs/jobs.h"

namespace elenchus {

int predict(const PredictOptions&) { refuse_classification(); }

}  // namespace elenchus
