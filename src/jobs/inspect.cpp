// elenchus inspect: rows as the model sees them.

#include "data/inspect.h"
#include "base/terminal.h"
#include "jobs/classes.h"
#include "jobs/jobs.h"
#include "jobs/run_setup.h"
#include "jobs/text_files.h"

namespace elenchus {

int inspect(const InspectOptions& options) {
  const Recipe recipe = read_recipe(options.recipe.file, options.recipe.overrides);
  for (const std::string& note : recipe.notes)
    write_error(without_controls("note: " + note) + "\n");
  const TextFiles text =
      load_text(open_model_files(recipe.model.model_name_or_path), recipe.data.chat_template_path);
  const RowRenderer renderer(render_rules(text, recipe.data, kTemplateClock));
  const Dataset dataset = load_rows(recipe, renderer, *text.tokenizer, Faults::tell);
  const InspectStyle style{.rows = options.rows, .colour = is_terminal(StandardStream::output)};
  write_output(inspect_text(dataset, recipe.data, renderer.rules(), style));
  return dataset.faults.empty() ? 0 : static_cast<int>(ExitCode::bad_input);
}

}  // namespace elenchus
