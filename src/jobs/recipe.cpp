#include "jobs/recipe.h"

#include <utility>

#include "base/config_node.h"
#include "base/error.h"
#include "base/field_visitors.h"
#include "base/file.h"
#include "jobs/recipe_checks.h"
#include "jobs/recipe_keys.h"
#include "metrics/metric_config.h"

namespace elenchus {
namespace {

constexpr std::uint64_t kLargestRecipe = 1u << 20;

void make_absolute(std::string& path, const std::filesystem::path& folder) {
  if (!path.empty()) path = (folder / path).lexically_normal().string();
}

void make_absolute(std::optional<std::string>& path, const std::filesystem::path& folder) {
  if (path) make_absolute(*path, folder);
}

void make_paths_absolute(Recipe& recipe) {
  const std::filesystem::path folder = std::filesystem::absolute(recipe.file).parent_path();
  make_absolute(recipe.model.model_name_or_path, folder);
  make_absolute(recipe.lora.init_from, folder);
  for (DataSource& file : recipe.data.train_file) make_absolute(file.path, folder);
  for (std::string& file : recipe.data.eval_file) make_absolute(file, folder);
  make_absolute(recipe.data.chat_template_path, folder);
  make_absolute(recipe.training.output_dir, folder);
  make_absolute(recipe.training.logging_dir, folder);
  if (recipe.training.resume_from_checkpoint != "true") {
    make_absolute(recipe.training.resume_from_checkpoint, folder);
  }
}

/// Booleans of resume_from_checkpoint are words of their own; anything else is a folder.
void settle_resume(std::optional<std::string>& resume) {
  bool value;
  if (!resume || !is_yaml_boolean(*resume, &value)) return;
  resume = value ? std::optional<std::string>("true") : std::nullopt;
}

Json read_metrics(const ConfigNode* node) {
  if (!node || node->is_null()) return Json::Array{};
  if (!node->is_list()) throw_wrong_value(*node, "metrics", "a list of {KIND: {name: ..., ...}}");
  return to_json(*node);
}

}  // namespace

Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  try {
    return parse_recipe(read_text_file(file, kLargestRecipe), file, overrides);
  } catch (const InputError& error) {
    // A recipe that cannot be read is a wrong command line, not a rejected data file.
    throw UserError(error.what());
  }
}

Recipe parse_recipe(std::string_view text, const std::filesystem::path& file,
                    const std::vector<std::string>& overrides) {
  Recipe recipe;
  recipe.file = file;
  const std::string source = file.string();
  const ConfigNode root = parse_yaml(text, source);
  if (root.is_null()) {
    throw UserError(cat(printable(source, 512), ": the recipe is empty; expected keys such as ",
                        "model: and data:"));
  }
  ConfigNode tree = canonical_recipe(root, recipe.notes);
  for (const std::string& assignment : overrides) {
    apply_override(tree, assignment, recipe.notes);
  }
  Recipe::sections(recipe, [&](std::string_view name, auto& section) {
    read_fields(*tree.find(name), name, section);
  });
  recipe.metrics = read_metrics(tree.find("metrics"));
  settle_resume(recipe.training.resume_from_checkpoint);
  check_recipe(recipe, tree);
  recipe.model_as_written = recipe.model.model_name_or_path;
  make_paths_absolute(recipe);
  return recipe;
}

Json recipe_to_json(const Recipe& recipe) {
  Json result = Json::Object{};
  Recipe::sections(recipe, [&](std::string_view name, const auto& section) {
    result.set(name, fields_to_json(section));
  });
  result.set("metrics", recipe.metrics);
  return result;
}

std::string recipe_to_yaml(const Recipe& recipe) { return to_yaml(recipe_to_json(recipe)); }

Json training_config_json(const Recipe& recipe) {
  Json result = Json::Object{};
  result.set("model_name", recipe.model_as_written);
  Json arguments = fields_to_json(recipe.training);
  const Json data = fields_to_json(recipe.data);
  for (const auto& [key, value] : data.as_object("data")) arguments.set(key, value);
  result.set("training_args", std::move(arguments));
  result.set("lora_config", fields_to_json(recipe.lora));
  result.set("bnb_config",
             recipe.quantization.load_in_4bit ? fields_to_json(recipe.quantization) : Json());
  return result;
}

std::string recipe_help() {
  std::string out;
  const Recipe defaults;
  Recipe::sections(defaults,
                   [&]<class T>(std::string_view name, const T&) { out += fields_help<T>(name); });
  return out + cat("metrics ([]): a list of metrics beside the loss (docs/METRICS.md): ",
                   metric_kinds_text(), "\n");
}

std::optional<ResumeChoice> resume_choice(const Recipe& recipe) {
  const std::optional<std::string>& wanted = recipe.training.resume_from_checkpoint;
  if (!wanted) return {};
  if (*wanted == "true") return ResumeChoice{};
  return ResumeChoice{.checkpoint = *wanted};
}

}  // namespace elenchus
