#include "text/template_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  elenchus::check_chat_template(bytes, size);
  return 0;
}
