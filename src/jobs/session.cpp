#include "jobs/session.h"

#include <fmt/format.h>

#include "base/error.h"
#include "jobs/adapter_choice.h"
#include "jobs/classes.h"
#include "jobs/run_setup.h"

namespace elenchus {

Session::Session(const SessionRequest& request) : files(open_model_files(request.model)) {
  const std::int64_t limit = identify_model(files).config.max_positions;
  max_positions = request.max_positions > 0 ? std::min(request.max_positions, limit) : limit;
  const DeviceChoice where = choose_device("auto", 0);
  LoadOptions options;
  options.load_in_4bit = request.load_in_4bit;
  options.lora = adapter_choice(request.adapter, {files});
  options.compute = choose_compute(where.device, {request.compute});
  options.max_positions = max_positions;
  options.classifier = stored_classifier(files, request.adapter);
  stream = Stream::open(where.device);
  const MemoryPlan plan = plan_memory([&](Stream& dry) { return load_model(dry, files, options); },
                                      request.shapes, nullptr, where);
  if (plan.peak() > where.available_bytes)
    throw UserError(
        fmt::format("this needs {} of memory and {} are there:\n{}", bytes_text(plan.peak()),
                    bytes_text(where.available_bytes), memory_plan_text(plan)),
        ExitCode::out_of_resources);
  model = load_model(*stream, files, options);
  for (const std::string& note : model.notes) say("note: " + note);
  arena = std::make_unique<Arena>(*stream, plan.activations);
  if (request.adapter) load_adapter_folder(*stream, model, *request.adapter, files);
}

}  // namespace elenchus
