#pragma once
// One line a format; each is in the file of its name.

#include "data/formats/format.h"

namespace elenchus {

extern const DataFormat kMessagesFormat;
extern const DataFormat kPromptCompletionFormat;
extern const DataFormat kAlpacaFormat;
extern const DataFormat kShareGptFormat;
extern const DataFormat kTextFormat;

}  // namespace elenchus
