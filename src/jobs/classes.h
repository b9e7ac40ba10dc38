#pragma once
// What the jobs do differently for a classifier (model.task_type: SEQ_CLS).

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "jobs/recipe.h"
#include "jobs/text_files.h"
#include "models/loader.h"

namespace elenchus {

bool is_classifier(const Recipe& recipe);
/// UserError: `what` needs a model of the other kind.
void expect_classifier(const Recipe& recipe, std::string_view what);
void expect_language_model(const Recipe& recipe, std::string_view what);

/// The rows of a recipe, as its task reads them.
Dataset load_rows(const Recipe& recipe, const RowRenderer& renderer, const Tokenizer& tokenizer,
                  Faults faults = Faults::refuse);

/// The head that a recipe asks for, with class weights: as listed, or balanced as scikit-learn's
/// (rows / (classes with rows * rows of the class); 1 for a class without rows) over the rows
/// trained on.
ClassifierOptions classifier_options(const Recipe& recipe, const Dataset& dataset);
/// The head of a model that is loaded alone: as many classes as the adapter's score.weight, or the
/// model's own, has. None: it is no classifier.
std::optional<ClassifierOptions> stored_classifier(
    ModelFiles& files, const std::optional<std::filesystem::path>& adapter);

/// Names by number; none of a language model's rows.
std::vector<std::string> class_names(const Dataset& dataset);

/// config.json of a classifier's output folder: the model's own, as transformers'
/// *ForSequenceClassification, with id2label, label2id, num_labels and pad_token_id.
std::string classifier_config(ModelFiles& files, const TextFiles& text,
                              const std::vector<ClassName>& classes);
/// The classes of a folder's config.json (id2label); a name LABEL_<its number> beside others that
/// are given is none. Empty without the file or the key. InputError: not a list of different names
/// from 0 on.
std::vector<ClassName> read_classes(const std::filesystem::path& folder);

/// InputError, with both lists, unless a trained classifier has the classes that a recipe's rows
/// have, in their order: its scores would be taken for others. The classifier is the adapter's, or
/// without one the model's own, whose names count only where it has any.
void expect_trained_classes(ModelFiles& files, const std::optional<std::filesystem::path>& adapter,
                            const std::vector<ClassName>& classes);

/// The classes of an adapter, as its config.json names them, else as the recipe's rows do where its
/// files are there, else by numbers. InputError as expect_trained_classes(), where the rows are
/// there; else unless they are model.num_labels.
std::vector<ClassName> predicted_classes(ModelFiles& files, const std::filesystem::path& adapter,
                                         const Recipe& recipe);

}  // namespace elenchus
