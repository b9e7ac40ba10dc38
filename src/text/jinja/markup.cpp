#include "text/jinja/markup.h"

#include <algorithm>

#include "text/jinja/print.h"

namespace elenchus::jinja {

Value as_markup(const Text& text) {
  return make<Text>(text.budget(), text.bytes, text.runs, TextKind::markup);
}

Value escape_all(const Text& text) {
  constexpr std::string_view kSpecial = "&<>'\"";
  constexpr std::string_view kEscapes[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  const std::string_view bytes = text.bytes;
  TextBuilder out(text.budget());
  std::size_t begin = 0;
  for (const TextRun& run : text.runs) {
    while (begin < run.end) {
      const std::size_t special =
          std::min(bytes.substr(0, run.end).find_first_of(kSpecial, begin), run.end);
      out.append(text, begin, special);
      if (special < run.end) out.append(kEscapes[kSpecial.find(bytes[special])], run.input);
      begin = special + 1;
    }
    begin = run.end;
  }
  return as_markup(*out.finish().text());
}

Value escape(Budget& budget, const Value& value) {
  const Value text = to_text(budget, value);
  return text.text()->markup() ? text : escape_all(*text.text());
}

Value made_from(const Text& origin, Value made) {
  if (!origin.markup()) return made;
  if (const Text* text = made.text()) return as_markup(*text);
  const Sequence* sequence = made.sequence();
  if (!sequence) return made;
  std::vector<Value> items;
  for (const Value& item : sequence->items) items.push_back(made_from(origin, item));
  return make_sequence(origin.budget(), sequence->kind, std::move(items));
}

}  // namespace elenchus::jinja
