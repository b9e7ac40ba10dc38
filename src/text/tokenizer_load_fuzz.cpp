// libFuzzer target: the bytes are a tokenizer.json.

#include "text/tokenizer_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  elenchus::check_tokenizer_json(bytes, size);
  return 0;
}
