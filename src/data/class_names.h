#pragma once
// From the labels of rows to numbered classes.

#include <set>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/formats/class_format.h"

namespace elenchus {

/// How transformers calls a class without a name: LABEL_7.
std::string unnamed_class(std::int64_t number);

/// The classes that labels mean: those of the format; else, if every label is a number (7 or
/// LABEL_7), num_labels classes without names; else the labels in sorted order, then classes that
/// are not given up to num_labels. UserError: more than num_labels. InputError: LABEL_<number>
/// beside other names.
std::vector<ClassName> classes_of(const std::set<std::string>& labels, const ClassFormat& format,
                                  std::int64_t num_labels);

/// The class that a label names; the number that it is where none is called so; else -1.
std::int64_t number_of(const std::string& label, const std::vector<ClassName>& classes);

}  // namespace elenchus
