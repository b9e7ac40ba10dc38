#pragma once
// The evaluator of a run, as training and `eval` need it.

#include "jobs/replies.h"
#include "jobs/run_setup.h"
#include "train/evaluator.h"

namespace elenchus {

/// Measures `model` on the run's evaluation rows, which there must be; takes the run's metrics. All
/// of it outlives the evaluator.
Evaluator make_evaluator(RunSetup& run, Stream& stream, Arena& arena, LanguageModel& model,
                         Replier& replier);

}  // namespace elenchus
