#pragma once
// A model loaded for use alone: chat, logits.

#include <filesystem>
#include <memory>
#include <optional>

#include "jobs/memory_plan.h"
#include "models/loader.h"

namespace elenchus {

struct SessionRequest {
  std::filesystem::path model;
  std::optional<std::filesystem::path> adapter;
  bool load_in_4bit = true;
  ComputeType compute = ComputeType::automatic;
  std::int64_t max_positions =
      0;  ///< longest sequence; capped at what the model was made for; 0: that
  LargestShapes shapes = {};
};

/// Not movable: the parts refer to each other.
struct Session {
  explicit Session(const SessionRequest& request);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  ModelFiles files;
  std::int64_t max_positions = 0;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Arena> arena;
  LoadedModel model;
};

}  // namespace elenchus
