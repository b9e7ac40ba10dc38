#include "jobs/classes.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "data/class_names.h"
#include "data/classification.h"
#include "io/peft_adapter.h"
#include "jobs/run_setup.h"
#include "models/gguf_config.h"

namespace elenchus {
namespace {

constexpr std::string_view kClassifier = "ForSequenceClassification";

std::vector<float> balanced_weights(const Dataset& dataset) {
  std::vector<double> counts(dataset.classes.size(), 0);
  for (const TokenizedRow& row : dataset.train) ++counts[std::size_t(row.label)];
  const auto present = std::ranges::count_if(counts, [](double count) { return count > 0; });
  std::vector<float> weights;
  for (const double count : counts)
    weights.push_back(count > 0 ? float(double(dataset.train.size()) / (double(present) * count))
                                : 1.0f);
  return weights;
}

bool is_default(const std::vector<ClassName>& classes, const ClassName& each) {
  return each.name == unnamed_class(&each - classes.data());
}

bool all_default(const std::vector<ClassName>& classes) {
  return std::ranges::all_of(classes, [&](const auto& each) { return is_default(classes, each); });
}

/// "3 classes (a, b, c)".
std::string list_of(const std::vector<ClassName>& classes) {
  std::string list;
  for (std::size_t i = 0; i < std::min<std::size_t>(classes.size(), 20); ++i)
    list += cat(i > 0 ? ", " : "", printable(classes[i].name));
  return cat(classes.size(), " classes (", list, classes.size() > 20 ? ", ...)" : ")");
}

ClassifierOptions head_of(const TensorSource& source, const std::string& name) {
  const TensorEntry* entry = source.find(name);
  if (!entry || entry->shape.size() != 2)
    throw InputError(cat(source.description(), ": has no matrix ", name,
                         ", the head that a classifier (SEQ_CLS) needs"));
  return {.num_labels = entry->shape[0], .class_weights = {}};
}

ClassifierOptions adapter_head(const std::filesystem::path& adapter) {
  return head_of(open_adapter_weights(adapter), cat("base_model.model.", kScoreName));
}

ClassifierOptions model_head(ModelFiles& files) {
  return head_of(files.weights(), std::string(kScoreName));
}

/// What a trained classifier says of its classes.
struct TrainedClasses {
  std::int64_t count = 0;        ///< rows of its head
  std::vector<ClassName> names;  ///< empty where it does not name them
};

/// Of an adapter, or without one of the model. InputError: it has no head, or names for another
/// number of classes than its head has.
TrainedClasses trained_classes(ModelFiles& files,
                               const std::optional<std::filesystem::path>& adapter) {
  const std::filesystem::path folder = adapter ? *adapter : files.path;
  const TrainedClasses out{
      adapter ? adapter_head(*adapter).num_labels : model_head(files).num_labels,
      read_classes(folder)};
  if (!out.names.empty() && std::int64_t(out.names.size()) != out.count)
    throw InputError(cat(printable((folder / "config.json").string(), 512), ": id2label: found ",
                         list_of(out.names), ", but the head ", kScoreName, " has ", out.count,
                         "; the files do not belong together"));
  return out;
}

}  // namespace

bool is_classifier(const Recipe& recipe) { return recipe.model.task_type == TaskType::SEQ_CLS; }

void expect_classifier(const Recipe& recipe, std::string_view what) {
  if (!is_classifier(recipe))
    throw UserError(cat(what, " needs a classifier; found model.task_type: CAUSAL_LM in ",
                        printable(recipe.file.string(), 512), ", expected SEQ_CLS"));
}

void expect_language_model(const Recipe& recipe, std::string_view what) {
  if (is_classifier(recipe))
    throw UserError(cat(what, " needs a model that replies; found model.task_type: SEQ_CLS in ",
                        printable(recipe.file.string(), 512), ", expected CAUSAL_LM"));
}

Dataset load_rows(const Recipe& recipe, const RowRenderer& renderer, const Tokenizer& tokenizer,
                  Faults faults) {
  const auto seed = std::uint64_t(recipe.data.data_seed.value_or(recipe.training.seed));
  if (!is_classifier(recipe)) return load_dataset(recipe.data, renderer, seed, faults);
  return load_classification(
      recipe.data, {.tokenizer = tokenizer, .num_labels = recipe.model.num_labels}, seed, faults);
}

ClassifierOptions classifier_options(const Recipe& recipe, const Dataset& dataset) {
  ClassifierOptions options{.num_labels = recipe.model.num_labels, .class_weights = {}};
  const std::vector<std::string>& written = recipe.training.class_weights;
  if (written.size() == 1 && written[0] == "balanced")
    options.class_weights = balanced_weights(dataset);
  else
    for (const std::string& weight : written)
      options.class_weights.push_back(std::strtof(weight.c_str(), nullptr));
  return options;
}

std::optional<ClassifierOptions> stored_classifier(
    ModelFiles& files, const std::optional<std::filesystem::path>& adapter) {
  if (adapter) {
    if (read_adapter_config(*adapter).task_type != "SEQ_CLS") return std::nullopt;
    return adapter_head(*adapter);
  }
  const Json* names = files.config.find("architectures");
  if (!names || !names->is_array() || names->as_array("").empty()) return std::nullopt;
  const Json& first = names->as_array("")[0];
  if (!first.is_string() || !first.as_string("").ends_with(kClassifier)) return std::nullopt;
  return model_head(files);
}

std::vector<std::string> class_names(const Dataset& dataset) {
  std::vector<std::string> names;
  for (const ClassName& each : dataset.classes) names.push_back(each.name);
  return names;
}

std::string classifier_config(ModelFiles& files, const TextFiles& text,
                              const std::vector<ClassName>& classes) {
  const Architecture& architecture = *identify_model(files).architecture;
  const bool gguf = files.kind == ModelFiles::Kind::gguf;
  Json config = gguf ? config_from_gguf(*files.gguf, architecture) : files.required_config();
  config.set("architectures", Json::Array{Json(classifier_name(architecture))});
  config.set("num_labels", std::int64_t(classes.size()));
  Json::Object names, numbers;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    names.emplace_back(std::to_string(i), classes[i].name);
    numbers.emplace_back(classes[i].name, std::int64_t(i));
  }
  config.set("id2label", std::move(names));
  config.set("label2id", std::move(numbers));
  config.set("problem_type", "single_label_classification");
  const Json* pad = config.find("pad_token_id");
  if (!pad || pad->is_null()) config.set("pad_token_id", std::int64_t(text.eos.value_or(0)));
  return config.dump_sorted(2) + "\n";
}

std::vector<ClassName> read_classes(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  const std::string source = printable(path.string(), 512);
  const Json config = Json::parse(read_text_file(path, 1 << 26), source);
  const Json* names = config.find("id2label");
  if (!names || names->is_null()) return {};
  const Json::Object& members = names->as_object(source + ": id2label");
  std::vector<ClassName> classes;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Json* name = names->find(std::to_string(i));
    if (!name)
      throw InputError(cat(source, ": id2label: has no class ", i, ", expected names from 0 to ",
                           members.size() - 1));
    classes.push_back({name->as_string(source + ": id2label"), true});
  }
  std::set<std::string_view> seen;
  for (const ClassName& each : classes)
    if (!seen.insert(each.name).second)
      throw InputError(cat(source, ": id2label: found '", printable(each.name),
                           "' twice, expected a name of its own for each class"));
  if (!all_default(classes))
    for (ClassName& each : classes) each.given = !is_default(classes, each);
  return classes;
}

void expect_trained_classes(ModelFiles& files, const std::optional<std::filesystem::path>& adapter,
                            const std::vector<ClassName>& classes) {
  const std::filesystem::path folder = adapter ? *adapter : files.path;
  const TrainedClasses trained = trained_classes(files, adapter);
  const bool nameless = trained.names.empty() || (!adapter && all_default(trained.names));
  const bool same =
      nameless ? trained.count == std::int64_t(classes.size())
               : std::ranges::equal(trained.names, classes, {}, &ClassName::name, &ClassName::name);
  if (same) return;
  throw InputError(cat(printable(folder.native(), 512), " was trained for ",
                       nameless ? cat(trained.count, " classes") : list_of(trained.names),
                       ", but the recipe's rows have ", list_of(classes),
                       "; give the recipe and the rows that it was trained with"));
}

std::vector<ClassName> predicted_classes(ModelFiles& files, const std::filesystem::path& adapter,
                                         const Recipe& recipe) {
  const TrainedClasses trained = trained_classes(files, adapter);
  const std::string source = printable(adapter.native(), 512);
  if (trained.count != recipe.model.num_labels)
    throw InputError(cat(
        source, " was trained for ", trained.count, " classes",
        trained.names.empty() ? std::string() : cat(" (", list_of(trained.names), ")"), ", but ",
        printable(recipe.file.string(), 512), " has model.num_labels: ", recipe.model.num_labels,
        "; give the recipe that it was trained with"));
  if (const auto classes = read_class_names(recipe.data, recipe.model.num_labels)) {
    expect_trained_classes(files, adapter, *classes);
    return *classes;
  }
  if (!trained.names.empty()) return trained.names;
  say(cat("note: neither ", source, " (config.json, id2label) nor rows of ",
          printable(recipe.file.string(), 512),
          " say how the classes are called; they are numbered"));
  std::vector<ClassName> classes;
  for (std::int64_t i = 0; i < trained.count; ++i) classes.push_back({unnamed_class(i), true});
  return classes;
}

}  // namespace elenchus
