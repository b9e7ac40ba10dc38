// Chatbot Arena (the Kaggle competition's train.csv): a prompt and two answers, each a JSON list of
// turns inside a CSV cell, and which of the answers won.

#include <array>

#include "base/file.h"
#include "data/formats/class_format.h"
#include "data/formats/turns.h"
#include "data/text_template.h"

namespace elenchus {
namespace {

constexpr std::string_view kPrompt = "prompt", kAnswerA = "response_a", kAnswerB = "response_b";
constexpr std::array<std::string_view, 3> kWinners = {"winner_model_a", "winner_model_b",
                                                      "winner_tie"};
constexpr std::string_view kNotebookTemplate =
    "User prompt: {prompt}\n\nModel A :\n{response_a}\n\n--------\n\nModel B:\n{response_b}";

bool recognises(const Json& row) {
  return row.find(kPrompt) && row.find(kAnswerA) && row.find(kAnswerB);
}

std::vector<TemplatePiece> pieces_of(const DataConfig& config) {
  return template_pieces(config.text_template ? std::string_view(*config.text_template)
                                              : kNotebookTemplate);
}

std::vector<std::string> keys(const DataConfig& config, Labelled labelled) {
  std::vector<std::string> out = {std::string(kPrompt), std::string(kAnswerA),
                                  std::string(kAnswerB)};
  for (const TemplatePiece& piece : pieces_of(config))
    if (piece.column) out.push_back(piece.text);
  if (labelled == Labelled::yes) out.insert(out.end(), kWinners.begin(), kWinners.end());
  return out;
}

/// The four hexadecimal digits behind a "\u" at `at`, or nothing.
std::optional<unsigned> escaped_unit(std::string_view json, std::size_t at) {
  if (json.substr(at, 2) != "\\u" || at + 6 > json.size()) return std::nullopt;
  unsigned unit = 0;
  for (const char c : json.substr(at + 2, 4)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    unit = unit * 16 + unsigned(digit);
  }
  return unit;
}

bool in(std::optional<unsigned> unit, unsigned first, unsigned last) {
  return unit && *unit >= first && *unit <= last;
}

/// JSON text in which every escaped surrogate without its partner is written \ufffd.
std::string with_whole_characters(std::string_view json, bool& mended) {
  std::string out;
  for (std::size_t at = 0; at < json.size();) {
    if (json[at] != '\\') {
      out += json[at++];
      continue;
    }
    const std::optional<unsigned> unit = escaped_unit(json, at);
    if (!in(unit, 0xD800, 0xDFFF)) {
      out += json.substr(at, 2);  // an escaped backslash is no start of the next escape
      at += 2;
    } else if (in(unit, 0xD800, 0xDBFF) && in(escaped_unit(json, at + 6), 0xDC00, 0xDFFF)) {
      out += json.substr(at, 12);
      at += 12;
    } else {
      out += "\\ufffd";
      at += 6;
      mended = true;
    }
  }
  return out;
}

/// The turns of one side.
struct Side {
  std::vector<std::string> turns;  // a null turn is empty
  bool nothing = true;             // no turn but nulls
};

Side read_side(const Json& row, std::string_view key, bool& mended) {
  const Json* cell = row.find(key);
  if (!cell) throw RowError("key_missing", cat(key, ": missing, expected a JSON list of strings"));
  Json parsed;
  if (cell->is_string()) {
    try {
      parsed = Json::parse(with_whole_characters(cell->as_string(key), mended), key);
    } catch (const InputError& error) {
      throw RowError("arena_invalid_json",
                     cat(error.what(), "; expected a JSON list of strings in this cell"));
    }
  }
  const Json& list = cell->is_string() ? parsed : *cell;
  Side side;
  if (list.is_null()) return side;
  if (!list.is_array())
    throw RowError("arena_not_list",
                   cat(key, ": expected a JSON list of strings, found ", list.kind_name()));
  for (const Json& turn : list.as_array(key)) {
    if (!turn.is_null() && !turn.is_string())
      throw RowError("arena_turn",
                     cat(key, ": expected strings or null as its turns, found ", turn.kind_name()));
    side.turns.push_back(turn.is_null() ? std::string() : turn.as_string(key));
    side.nothing &= turn.is_null();
  }
  return side;
}

std::string joined(std::span<const std::string> turns) {
  std::string out;
  for (std::size_t i = 0; i < turns.size(); ++i) out += (i > 0 ? " " : "") + turns[i];
  return out;
}

/// The winner with the largest number.
std::string winner_of(const Json& row, AnswerOrder order) {
  std::array<double, 3> votes{};
  for (std::size_t i = 0; i < votes.size(); ++i) {
    const std::string text = value_text(row, kWinners[i]);
    char* end = nullptr;
    votes[i] = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(votes[i] >= 0 && votes[i] <= 1e9))
      throw RowError("arena_winner", cat(kWinners[i], ": found '", printable(text),
                                         "', expected a number, 0 or above"));
  }
  std::size_t best = 0;
  for (std::size_t i = 1; i < votes.size(); ++i)
    if (votes[i] > votes[best]) best = i;
  int equal = 0;
  for (const double vote : votes) equal += vote == votes[best];
  if (equal > 1)
    throw RowError("arena_winner",
                   cat("winner_model_a, winner_model_b and winner_tie: found ", votes[0], ", ",
                       votes[1], " and ", votes[2], ", expected one that is larger than the rest"));
  if (order == AnswerOrder::swapped && best < 2) best = 1 - best;
  return std::string(kWinners[best]);
}

struct Sides {
  Side prompt, a, b;
};

/// The column that stands in the place of `name` where the answers change places: of a pair such as
/// model_a and model_b, the other one.
std::string exchanged_column(const Json& row, const std::string& name) {
  const bool a = name.ends_with("_a"), b = name.ends_with("_b");
  if (!a && !b) return name;
  std::string other = name;
  other.back() = a ? 'b' : 'a';
  if (!row.find(other))
    throw RowError("arena_no_pair",
                   cat("data.text_template: {", printable(name), "} changes places with {",
                       printable(other), "}, which the row does not have"));
  return other;
}

/// The template with the columns of exchanged answers in each other's places. The answers
/// themselves are exchanged in `sides`.
std::vector<TemplatePiece> exchanged(std::vector<TemplatePiece> pieces, const Json& row) {
  for (TemplatePiece& piece : pieces)
    if (piece.column && piece.text != kAnswerA && piece.text != kAnswerB)
      piece.text = exchanged_column(row, piece.text);
  return pieces;
}

/// The template filled in once; `turn` chooses one turn, none joins them.
void add_text(std::vector<TextPart>& parts, std::span<const TemplatePiece> pieces, const Json& row,
              const Sides& sides, std::optional<std::size_t> turn) {
  const auto text = [&](const Side& side) {
    if (!turn) return joined(side.turns);
    return *turn < side.turns.size() ? side.turns[*turn] : std::string();
  };
  for (const TemplatePiece& piece : pieces) {
    TextPart part{.text = piece.text, .value = piece.column};
    if (piece.column && piece.text == kPrompt)
      part.text = text(sides.prompt);
    else if (piece.column && piece.text == kAnswerA)
      part.text = text(sides.a);
    else if (piece.column && piece.text == kAnswerB)
      part.text = text(sides.b);
    else if (piece.column)
      part.text = value_text(row, piece.text);
    parts.push_back(std::move(part));
  }
}

std::optional<ClassifiedText> parse(const Json& row, const DataConfig& config, Labelled labelled,
                                    AnswerOrder order) {
  expect_object(row);
  ClassifiedText out;
  Sides sides{read_side(row, kPrompt, out.mended), read_side(row, kAnswerA, out.mended),
              read_side(row, kAnswerB, out.mended)};
  if (sides.a.nothing && sides.b.nothing && labelled == Labelled::yes) return std::nullopt;
  const std::size_t turns = sides.prompt.turns.size();
  for (const Side* side : {&sides.a, &sides.b})
    if (!side->turns.empty() && side->turns.size() != turns)
      throw RowError(
          "arena_turns_differ",
          cat("found ", turns, " turns of the user, ", sides.a.turns.size(), " of model A and ",
              sides.b.turns.size(), " of model B, expected as many"));
  std::vector<TemplatePiece> pieces = pieces_of(config);
  if (order == AnswerOrder::swapped) {
    std::swap(sides.a, sides.b);
    pieces = exchanged(std::move(pieces), row);
  }
  if (config.turns == Turns::joined || turns == 0) {
    add_text(out.parts, pieces, row, sides, std::nullopt);
  } else {
    for (std::size_t turn = 0; turn < turns; ++turn) {
      if (turn > 0) out.parts.push_back({.text = "\n\n", .value = false});
      add_text(out.parts, pieces, row, sides, turn);
    }
  }
  if (labelled == Labelled::yes) out.label = winner_of(row, order);
  return out;
}

}  // namespace

const ClassFormat kArenaFormat = {"arena", recognises, keys, parse, kWinners, true};

}  // namespace elenchus
