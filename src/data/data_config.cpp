#include "data/data_config.h"

#include "base/field_visitors.h"

namespace elenchus {

void read_value(const ConfigNode& node, std::string_view key, DataSource& source) {
  if (node.is_scalar()) return read_value(node, key, source.path);
  if (!node.is_map()) throw_wrong_value(node, key, "a file, or {path: FILE, weight: NUMBER}");
  read_fields(node, key, source);
  constexpr double kMostWeight = 1000;
  if (source.path.empty()) throw_wrong_value(node, key, "a path in it");
  if (!(source.weight > 0 && source.weight <= kMostWeight))
    throw UserError(cat(node.place, ": ", key, ".weight: found ", source.weight,
                        "; expected a number above 0, at most ", kMostWeight));
}

Json write_value(const DataSource& source) {
  if (source.weight == 1) return source.path;
  return Json::Object{{"path", source.path}, {"weight", source.weight}};
}

}  // namespace elenchus
