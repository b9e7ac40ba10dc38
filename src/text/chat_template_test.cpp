#include "text/chat_template.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <ctime>

#include "base/file.h"
#include "testing/fuzz_replay.h"
#include "text/template_fuzz.h"

namespace elenchus {
namespace {

constexpr std::int64_t kNow = 1721779200;  // 24 July 2024

Json conversation() {
  return Json::parse(R"([{"role": "system", "content": " Be brief. "},
                         {"role": "user", "content": "Hi <|end|>"},
                         {"role": "assistant", "content": "Yo"}])",
                     "test");
}

RenderedChat render(std::string source, const Json& messages = conversation(),
                    RenderOptions options = {}) {
  options.now_seconds = kNow;
  return ChatTemplate(std::move(source), "<s>", "</s>").render(messages, options);
}

std::string text_of(std::string source) { return render(std::move(source)).text; }

std::string error_of(std::string source) {
  try {
    render(std::move(source));
  } catch (const InputError& error) {
    return error.what();
  }
  return "rendered";
}

// The text with brackets around what came from the input.
std::string marked(std::string source) {
  const RenderedChat chat = render(std::move(source));
  std::string out;
  std::size_t at = 0;
  for (const TextRange& range : chat.from_input) {
    out += chat.text.substr(at, range.begin - at) + "[" +
           chat.text.substr(range.begin, range.end - range.begin) + "]";
    at = range.end;
  }
  return out + chat.text.substr(at);
}

TEST(ChatTemplate, MatchesJinjaOnGoldenFiles) {
  const auto tests = tests_folder();
  if (!tests) GTEST_SKIP() << "set ELENCHUS_TESTS to the folder tests/";
  for (const char* name : {"features.json", "conversations.json"}) {
    const auto path = *tests / "golden" / "templates" / name;
    const Json golden = Json::parse(read_text_file(path), name);
    for (const Json& test : golden.at("cases", name).as_array(name)) {
      const auto find = [&](std::string_view key) {
        return test.find(key) ? test.find(key) : golden.find(key);
      };
      const std::string source = find("template")->as_string(name);
      RenderOptions options{
          .add_generation_prompt = true, .tools = *golden.find("tools"), .extra = {}};
      Json got;
      try {
        got.set("text", render(source, *find("messages"), options).text);
      } catch (const TemplateRefusal& refusal) {
        got.set("refused", std::string(refusal.what()));
      } catch (const InputError& error) {
        got.set("error", std::string(error.what()));
      }
      for (const char* kind : {"text", "refused"}) {
        const Json* wanted = test.find(kind);
        if (!wanted) continue;
        EXPECT_EQ(got.dump(), Json(Json::Object{{kind, *wanted}}).dump()) << source;
      }
      EXPECT_EQ(test.find("error") != nullptr, got.find("error") != nullptr)
          << source << " gave " << got.dump();
    }
  }
}

TEST(ChatTemplate, MarksWhatCameFromTheInput) {
  EXPECT_EQ(marked("<{{ messages[0].role }}>{{ messages[0].content }}</>"),
            "<system>[ Be brief. ]</>");
  EXPECT_EQ(marked("{{ messages[0].content | trim }}."), "[Be brief.].");
  EXPECT_EQ(marked("{{ '<' + messages[0].content.strip()[3:5] ~ '>' }}"), "<[br]>");
  EXPECT_EQ(marked("{{ messages[1].content.split(' ') | join('+') }}"), "[Hi]+[<|end|>]");
  EXPECT_EQ(marked("{{ messages[1].content.replace('Hi', '@') }}"), "@[ <|end|>]");
  EXPECT_EQ(marked("{{ '%s=%s' % ('a', messages[2].content) }}"), "a=[Yo]");
  EXPECT_EQ(marked("{{ '{}={}'.format('a', messages[2].content) }}"), "a=[Yo]");
  EXPECT_EQ(marked("{{ ('a' ~ messages[2].content)[::-1] }}"), "[oY]a");
  EXPECT_EQ(marked("{% set x %}a{{ messages[2].content }}{% endset %}{{ x * 2 }}"), "a[Yo]a[Yo]");
  EXPECT_EQ(marked("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(messages[2].content) }}"),
            "<[Yo]>");
  EXPECT_EQ(marked("{{ messages[2].content | indent(2, true) }}"), "  [Yo]");
  EXPECT_EQ(marked("{{ messages[2].content.center(4) }}"), " [Yo] ");
}

TEST(ChatTemplate, MarksNewTextAsInputIfAnyOfItWas) {
  EXPECT_EQ(marked("{{ ('a' ~ messages[2].content) | upper }}b"), "[AYO]b");
  EXPECT_EQ(marked("{{ messages[2].content | tojson }}b"), "[\"Yo\"]b");
  EXPECT_EQ(marked("{{ {'a': 'b'} | tojson }}"), "{\"a\": \"b\"}");
  EXPECT_EQ(marked("{{ messages[2] }}."), "[{'role': 'assistant', 'content': 'Yo'}].");
  EXPECT_EQ(marked("{{ messages | length }}"), "3");
  EXPECT_EQ(marked("{% for key in messages[2] %}{{ key }}{% endfor %}"), "[rolecontent]");
}

TEST(ChatTemplate, MarksToolsAndDocumentsButNotOtherVariables) {
  RenderOptions options;
  options.tools = Json::parse(R"([{"name": "f"}])", "test");
  options.extra = Json::parse(R"({"documents": ["d"], "style": "s"})", "test");
  const RenderedChat chat =
      render("{{ style }}{{ tools[0].name }}.{{ documents[0] }}", conversation(), options);
  EXPECT_EQ(chat.text, "sf.d");
  ASSERT_EQ(chat.from_input.size(), 2u);
  EXPECT_EQ(chat.from_input[0].begin, 1u);
  EXPECT_EQ(chat.from_input[0].end, 2u);
  EXPECT_EQ(chat.from_input[1].begin, 3u);
}

TEST(ChatTemplate, ErrorsNameTheLine) {
  EXPECT_EQ(error_of("a\n{{ b.c }}"), "chat template: line 2: 'b' is undefined");
  EXPECT_NE(error_of("a\n\n{% if %}").find("line 3: expected an expression"), std::string::npos);
  EXPECT_NE(error_of("{{ 'a' + 1 }}").find("'+' of a str and a int"), std::string::npos);
  EXPECT_NE(error_of("{% include 'x' %}").find("not allowed"), std::string::npos);
  EXPECT_NE(error_of("\xFF").find("byte 0 is not valid UTF-8"), std::string::npos);
}

TEST(ChatTemplate, RaiseExceptionIsARefusalWithTheTemplatesOwnWords) {
  try {
    render("{{ raise_exception('no ' ~ messages[0].role) }}");
    FAIL();
  } catch (const TemplateRefusal& refusal) {
    EXPECT_STREQ(refusal.what(), "no system");
  }
}

TEST(ChatTemplate, RendersTheSameTwiceAndFromAMovedTemplate) {
  ChatTemplate first(
      "{% set ns = namespace(n=1) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ bos_token }}", "B", "E");
  EXPECT_EQ(first.render(conversation()).text, "2B");
  const ChatTemplate second = std::move(first);
  EXPECT_EQ(second.render(conversation()).text, "2B");
}

TEST(ChatTemplate, MessagesThatAreNoListOfObjectsAreRefused) {
  const ChatTemplate echo("{{ messages }}", "", "");
  EXPECT_THROW(echo.render(Json(1)), InputError);
  EXPECT_THROW(echo.render(Json(Json::Array{Json("a")})), InputError);
}

// Ways out of a sandbox, as they work or once worked on Jinja. None may reach anything: each gives
// an error or nothing.
TEST(ChatTemplate, EscapePayloadsReachNothing) {
  const char* payloads[] = {
      "{{ ''.__class__ }}",
      "{{ ''.__class__.__mro__ }}",
      "{{ ''['__class__'] }}",
      "{{ ''|attr('__class__') }}",
      "{{ ''|attr('__cl' ~ 'ass__') }}",
      "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
      "{{ ().__class__.__base__.__subclasses__() }}",
      "{{ [].__class__.__base__ }}",
      "{{ {}.__init__.__globals__ }}",
      "{{ messages.__class__ }}",
      "{{ messages[0].__dict__ }}",
      "{{ range.__globals__ }}",
      "{{ namespace.__init__.__globals__ }}",
      "{{ raise_exception.__globals__ }}",
      "{{ raise_exception.__code__ }}",
      "{{ strftime_now.__globals__['datetime'] }}",
      "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
      "{{ joiner.__init__.__globals__ }}",
      "{{ lipsum.__globals__ }}",
      "{{ lipsum.__globals__['os'].system('id') }}",
      "{{ self.__init__ }}",
      "{{ self._TemplateReference__context }}",
      "{{ loop.__class__ }}",
      "{% for x in [1] %}{{ loop._iterator }}{% endfor %}",
      "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
      "{% macro m() %}{% endmacro %}{{ m._func }}",
      "{{ '{0.__class__}'.format(1) }}",
      "{{ '{0.__class__.__mro__}'.format('') }}",
      "{{ '{0[__class__]}'.format('') }}",
      "{{ '{a.__init__.__globals__}'.format(a=range) }}",
      "{{ ''.format.__self__ }}",
      "{{ ''.join.__call__ }}",
      "{{ '{0.__class__}'.format_map({'0': 1}) }}",
      "{{ 'os'|import }}",
      "{% import 'os' as os %}",
      "{% from 'x' import y %}",
      "{% include '/etc/passwd' %}",
      "{% extends '/etc/passwd' %}",
      "{{ messages.append(1) }}",
      "{{ messages[0].update({'role': 'x'}) }}",
      "{{ messages.sort() }}{{ messages }}",
      "{% set ns = namespace(__class__=1) %}",
      "{% set ns = namespace() %}{% set ns.__class__ = 1 %}{{ ns.__class__ }}",
      "{{ [1]|map('attr', '__class__')|list|first }}",
      "{{ [[]]|map(attribute='__class__')|list|first }}",
      "{{ [[]]|selectattr('__class__')|list|join }}",
      "{{ ['']|sort(attribute='__class__.__mro__')|first }}",
      "{{ config }}{{ request }}{{ get_flashed_messages }}",
      "{{ open('/etc/passwd') }}",
      "{{ eval('1') }}",
      "{{ messages|random }}",
      "{{ 'a'|pprint|attr('func_globals') }}",
      "{% debug %}",
      "{{ gettext('x') }}",
  };
  for (const std::string payload : payloads) {
    std::string text;
    try {
      text = text_of(payload);
    } catch (const InputError&) {
    }
    EXPECT_TRUE(text.empty() || text == "[{}]" || text == "0") << payload << " gave " << text;
  }
}

struct Bomb {
  const char* name;
  std::string source;
};

class TemplateBomb : public testing::TestWithParam<Bomb> {};

TEST_P(TemplateBomb, StopsInASecondAnd64MiB) {
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const std::clock_t start = std::clock();
  EXPECT_NE(error_of(GetParam().source), "rendered");
  const double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
  getrusage(RUSAGE_SELF, &after);
  constexpr double kSlack = 0.5;  // sanitizers, and what one step may take past the limit
  EXPECT_LE(seconds, 1 + kSlack);
  EXPECT_LE(after.ru_maxrss - before.ru_maxrss, 64 << 10);
}

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    All, TemplateBomb,
    testing::Values(
        Bomb{"Range", "{{ range(1000000000)|list }}"},
        Bomb{"NestedLoops",
             repeated("{% for x in range(100000) %}", 5) + "a" + repeated("{% endfor %}", 5)},
        Bomb{"EmptyNestedLoops",
             repeated("{% for x in range(100000) %}", 5) + repeated("{% endfor %}", 5)},
        Bomb{"RepeatedText", "{{ 'x' * 1000000000 }}"},
        Bomb{"RepeatedList", "{{ [1] * 1000000000 }}"},
        Bomb{"DoublingConcatenation",
             "{% set ns = namespace(s='x') %}{% for i in range(64) %}"
             "{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s|length }}"},
        Bomb{"DoublingList",
             "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}"
             "{% set ns.s = ns.s + ns.s %}{% endfor %}"},
        Bomb{"DoublingReferences",
             "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}"
             "{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}"},
        Bomb{"RecursiveMacro", "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}"},
        Bomb{"MutuallyRecursiveMacros",
             "{% macro f(n) %}{{ g(n) }}{% endmacro %}"
             "{% macro g(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}"},
        Bomb{"WideFormat", "{{ '%999999999d' % 1 }}"},
        Bomb{"WideBraces", "{{ '{:>999999999}'.format(1) }}"},
        Bomb{"WidePadding", "{{ 'a'.center(999999999) }}"},
        Bomb{"Replacement", "{% set s = 'x' * 100000 %}{{ s.replace('x', s) }}"},
        Bomb{"Power", "{{ 10 ** 10 ** 10 }}"},
        Bomb{"Join", "{{ ('x' * 1000000).join(range(100000)|map('string')) }}"},
        Bomb{"NestedParentheses", "{{ " + repeated("(", 100000) + repeated(")", 100000) + " }}"},
        Bomb{"NestedNegations", "{{ " + repeated("not ", 50000) + "1 }}"},
        Bomb{"NestedBlocks", repeated("{% if 1 %}", 20000)},
        Bomb{"LongSum", "{{ 1" + repeated(" + 1", 60000) + " }}"},
        Bomb{"LongSource", repeated("a", 300000)},
        Bomb{"ManyTexts",
             "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}"
             "{% set ns.l = ns.l + ['x' * 100000] %}{% endfor %}"},
        Bomb{"LongOutput",
             "{% set s = 'x' * 1000000 %}{% for i in range(1000) %}{{ s }}{% endfor %}"},
        Bomb{"QuadraticSearch",
             "{% set s = 'a' * 8000000 %}{% for i in range(1000) %}"
             "{% if ('a' * 4000000 ~ 'b') in s %}x{% endif %}{% endfor %}"},
        Bomb{"LongStrip",
             "{% set s = ' ' * 16000000 %}{% for i in range(100000) %}{{ s|trim }}{% endfor %}"},
        Bomb{"DeepValue",
             "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}"
             "{% set ns.l = [ns.l] %}{% endfor %}"},
        Bomb{"ScopeChain",
             "{% set ns = namespace(f=none) %}{% macro f() %}{% macro g() %}{% set ns.f = f2 %}"
             "{% endmacro %}{% set ns.f = g %}{% endmacro %}{% set ns.f = f %}"
             "{% for i in range(100000) %}{{ ns.f() }}{% set f2 = ns.f %}{% endfor %}" +
                 repeated("{{ 'x' * 10000000 }}", 3)},
        Bomb{"SelfHoldingNamespace", "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}"},
        Bomb{"ManyAttributes",
             "{% set ns = namespace() %}{% for i in range(100000) %}{% for j in range(100000) %}"
             "{% set ns.a = [i, j]|sort|map('string')|join %}{% endfor %}{% endfor %}"},
        Bomb{"BigDict",
             "{% set d = dict(range(100000)|batch(2)) %}{{ d[0] }}{{ dict(range(100000)|batch(2)) "
             "}}"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ChatTemplate, StepsGrowWithTheMessages) {
  // Searching a long text takes many steps and little time, however the program was built.
  const std::string source =
      "{% set text = ('x' * 8000) * 1000 %}"
      "{% for i in range(200) %}{% if 'y' in text %}{% endif %}{% endfor %}";
  EXPECT_NE(error_of(source).find("steps"), std::string::npos);
  const Json::Array messages(1000, Json(Json::Object{{"role", "user"}, {"content", "x"}}));
  EXPECT_EQ(render(source, Json(messages)).text, "");
}

TEST(ChatTemplate, CorpusIsRefusedOrRenderedWithSoundRanges) {
  if (replay_corpus("template", check_chat_template) == 0)
    GTEST_SKIP() << "set ELENCHUS_TESTS to the folder tests/";
}

}  // namespace
}  // namespace elenchus
