#include "io/safetensors_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  elenchus::check_safetensors_reader(bytes, size);
  return 0;
}
