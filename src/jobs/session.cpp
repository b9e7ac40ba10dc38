#include "jobs/session.h"

#include <fmt/format.h>

#include "base/error.h"
#include "io/peft_adapter.h"
#include "jobs/adapter_choice.h"

namespace elenchus {

Session::Session(const SessionRequest& request) : files(open_model_files(request.model)) {
  const std::int64_t limit = identify_model(files).config.max_positions;
  max_positions = request.max_positions > 0 ? std::min(request.max_positions, limit) : limit;
  const LoadOptions options{.load_in_4bit = request.load_in_4bit,
                            .lora = adapter_choice(request.adapter),
                            .max_positions = max_positions};
  stream = Stream::open({});
  const std::size_t available = available_memory();
  const MemoryPlan plan = plan_memory(files, options, request.shapes, Recompute::automatic,
                                      available, stream->pool().threads());
  if (plan.peak() > available)
    throw UserError(
        fmt::format("this needs {} of memory and {} are there:\n{}", bytes_text(plan.peak()),
                    bytes_text(available), memory_plan_text(plan)),
        ExitCode::out_of_resources);
  arena = std::make_unique<Arena>(*stream, plan.activations);
  model = load_model(*stream, files, options);
  if (request.adapter)
    load_adapter(*stream, model.decoder->params(), open_adapter_weights(*request.adapter));
}

}  // namespace elenchus
