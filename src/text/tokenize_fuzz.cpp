// libFuzzer target: the bytes are a text for two small tokenizers.

#include "text/example_vocabulary.h"
#include "text/tokenizer_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const auto byte_level = elenchus::tokenizer_from_gguf(
      elenchus::example_byte_level_vocabulary("llama-bpe"), "example");
  static const auto sentencepiece =
      elenchus::tokenizer_from_gguf(elenchus::example_sentencepiece_vocabulary(), "example");
  elenchus::check_tokenize(*byte_level, bytes, size);
  elenchus::check_tokenize(*sentencepiece, bytes, size);
  return 0;
}
