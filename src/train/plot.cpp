#include "train/plot.h"

#include <fmt/format.h>
#include <plplot.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/output_file.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

constexpr int kWidth = 1200, kHeight = 900;
constexpr char kDevice[] = "pngcairo";
constexpr int kMostDevices = 256;  // PLplot knows some forty
constexpr std::uint64_t kPngLimitBytes = 1u << 26;

struct Colour {
  int red, green, blue;
};
// Places in PLplot's palette; the lines of a panel take kFirstLine onwards, their raw values the
// pale colour as many places further.
enum PaletteIndex { kWhite, kBlack, kGrid, kFirstLine };
constexpr int kShades = 32;  // from white to the first line's colour, behind the lines' colours
constexpr Colour kPaper[] = {{255, 255, 255}, {40, 40, 40}, {225, 225, 225}};
constexpr Colour kLines[] = {{31, 119, 180}, {214, 90, 20},  {44, 140, 60}, {170, 40, 110},
                             {120, 90, 180}, {130, 100, 40}, {0, 140, 150}, {90, 90, 90}};
constexpr int kLineColours = int(std::size(kLines));

constexpr int kFirstShade = kFirstLine + 2 * kLineColours;

int line_colour(std::size_t series) { return kFirstLine + int(series) % kLineColours; }
int pale_colour(std::size_t series) { return line_colour(series) + kLineColours; }

void set_colours() {
  plscmap0n(kFirstShade + kShades);
  for (int i = 0; i < kFirstLine; ++i) plscol0(i, kPaper[i].red, kPaper[i].green, kPaper[i].blue);
  const auto pale = [](int value) { return value + (255 - value) * 6 / 10; };
  for (int i = 0; i < kLineColours; ++i) {
    const Colour c = kLines[i];
    plscol0(kFirstLine + i, c.red, c.green, c.blue);
    plscol0(kFirstLine + kLineColours + i, pale(c.red), pale(c.green), pale(c.blue));
  }
  for (int i = 0; i < kShades; ++i) {
    const auto mixed = [&](int value) { return 255 + (value - 255) * i / (kShades - 1); };
    plscol0(kFirstShade + i, mixed(kLines[0].red), mixed(kLines[0].green), mixed(kLines[0].blue));
  }
}

/// PLplot reads # in a text as the start of a command.
std::string plain_text(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '#' ? std::string("##") : std::string(1, c);
  return out;
}

/// The finite points of a series.
PlotSeries finite(const PlotSeries& series) {
  PlotSeries out = series;
  out.x.clear();
  out.y.clear();
  for (std::size_t i = 0; i < series.x.size(); ++i)
    if (std::isfinite(series.x[i]) && std::isfinite(series.y[i])) {
      out.x.push_back(series.x[i]);
      out.y.push_back(series.y[i]);
    }
  return out;
}

struct Range {
  double low = INFINITY, high = -INFINITY;
  void include(const std::vector<double>& values) {
    for (const double value : values) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  /// Widened at both ends by shares of it; something sensible where there is nothing or one value.
  Range widened(double below, double above) const {
    if (!(low <= high)) return {0, 1};
    const double width = high - low;
    if (width > 1e-12 * std::max(std::abs(low), std::abs(high)))
      return {low - below * width, high + above * width};
    const double around = low == 0 ? 1 : std::abs(low) * 0.1;
    return {low - around, high + around};
  }
};

bool is_smoothed(const PlotSeries& series) { return series.smooth && series.x.size() > 2; }

void draw_series(const PlotSeries& series, std::size_t index) {
  const int count = int(series.x.size());
  if (count == 0) return;
  const bool smooth = is_smoothed(series);
  plcol0(smooth ? pale_colour(index) : line_colour(index));
  plwidth(smooth ? 1 : 2);
  plline(count, series.x.data(), series.y.data());
  if (series.markers || count == 1) plstring(count, series.x.data(), series.y.data(), "•");
  if (!smooth) return;
  plcol0(line_colour(index));
  plwidth(2);
  plline(count, series.x.data(), smoothed(series.y).data());
}

std::size_t legend_lines(const std::vector<PlotSeries>& lines) {
  return lines.size() + std::size_t(std::ranges::count_if(lines, is_smoothed));
}

void draw_legend(const std::vector<PlotSeries>& lines) {
  std::vector<std::string> names;
  std::vector<PLINT> options, text_colours, line_colours, styles;
  std::vector<PLFLT> widths;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool smooth = is_smoothed(lines[i]);
    names.push_back(plain_text(lines[i].name));
    line_colours.push_back(smooth ? pale_colour(i) : line_colour(i));
    widths.push_back(smooth ? 1 : 2);
    if (!smooth) continue;
    names.push_back(plain_text(lines[i].name) + ", smoothed");
    line_colours.push_back(line_colour(i));
    widths.push_back(2);
  }
  const std::size_t count = names.size();
  std::vector<const char*> texts;
  for (const std::string& name : names) texts.push_back(name.c_str());
  options.assign(count, PL_LEGEND_LINE);
  text_colours.assign(count, kBlack);
  styles.assign(count, 1);
  PLFLT width = 0, height = 0;
  pllegend(&width, &height, PL_LEGEND_BACKGROUND | PL_LEGEND_BOUNDING_BOX,
           PL_POSITION_RIGHT | PL_POSITION_TOP, 0.02, 0.02, 0.06, kWhite, kGrid, 1, 0, 0,
           PLINT(count), options.data(), 1.0, 0.8, 1.8, 0.0, text_colours.data(), texts.data(),
           nullptr, nullptr, nullptr, nullptr, line_colours.data(), styles.data(), widths.data(),
           nullptr, nullptr, nullptr, nullptr);
}

/// One panel in the rectangle given in shares of the page.
void draw_panel(const PlotPanel& panel, double left, double right, double bottom, double top) {
  std::vector<PlotSeries> lines;
  Range xs, ys;
  for (const PlotSeries& series : panel.series) {
    lines.push_back(finite(series));
    xs.include(lines.back().x);
    ys.include(lines.back().y);
  }
  // The legend lies above the highest value, so that it hides nothing.
  const double legend_share = 0.1 + 0.08 * double(legend_lines(lines));
  const Range x = xs.widened(0.02, 0.02), y = ys.widened(0.08, legend_share);
  plvpor(left, right, bottom, top);
  plwind(x.low, x.high, y.low, y.high);
  plwidth(1);
  plcol0(kGrid);
  plbox("g", 0, 0, "g", 0, 0);
  plcol0(kBlack);
  plsmaj(0, 0.5);
  plbox("bcnt", 0, 0, "bcntv", 0, 0);
  plmtex("b", 3.2, 0.5, 0.5, plain_text(panel.x_label).c_str());
  plschr(0, 1.2);
  plmtex("t", 1.4, 0.5, 0.5, plain_text(panel.title).c_str());
  plschr(0, 1.0);
  for (std::size_t i = 0; i < lines.size(); ++i) draw_series(lines[i], i);
  if (xs.low <= xs.high) return draw_legend(lines);
  plcol0(kBlack);
  plptex((x.low + x.high) / 2, (y.low + y.high) / 2, 1, 0, 0.5, "nothing measured yet");
}

/// PLplot and cairo do not survive a failed allocation, so there must be room for theirs.
/// std::bad_alloc.
void check_memory() {
  constexpr std::size_t kRoomBytes = std::size_t{256} << 20;  // of addresses; pango starts a thread
  const auto room = std::make_unique_for_overwrite<std::byte[]>(kRoomBytes);
  *static_cast<volatile std::byte*>(room.get()) = {};  // else the compiler may leave it all out
}

/// PLplot ends the process when its device is missing or the file cannot be opened, so both are
/// looked at before.
void check_device(const fs::path& temporary) {
  std::vector<const char*> menu(kMostDevices), names(kMostDevices);
  const char** menu_data = menu.data();
  const char** names_data = names.data();
  int count = kMostDevices;
  plgDevs(&menu_data, &names_data, &count);
  bool found = false;
  for (int i = 0; i < count; ++i) found |= std::string_view(names[std::size_t(i)]) == kDevice;
  if (!found) throw DeviceError("PLplot's driver pngcairo is not installed (plplot-driver-cairo)");
  OutputFile(temporary).finish();
}

/// Opens a page, draws on it, and writes the file.
template <class Draw>
void draw_page(const fs::path& png, const Draw& draw) {
  PLINT stream = 0;
  plmkstrm(&stream);
  plsdev(kDevice);
  plsfnam(png.c_str());
  plspage(0, 0, kWidth, kHeight, 0, 0);
  set_colours();
  plinit();
  plfontld(0);
  pladv(0);
  draw();
  plend1();
}

void draw_panels(const std::vector<PlotPanel>& panels) {
  const bool many = panels.size() > 1;
  plschr(many ? 3.6 : 4.2, 1.0);
  const int columns = many ? 2 : 1, rows = (int(panels.size()) + columns - 1) / columns;
  for (int i = 0; i < int(panels.size()); ++i) {
    const double width = 1.0 / columns, height = 1.0 / rows;
    const double left = (i % columns) * width, bottom = 1 - (i / columns + 1) * height;
    draw_panel(panels[std::size_t(i)], left + (many ? 0.075 : 0.09), left + width - 0.03,
               bottom + (many ? 0.085 : 0.1), bottom + height - 0.07);
  }
}

/// One cell of a table, as many places from the left and the top.
void draw_cell(double column, double row, double count, double share) {
  const double x[] = {column, column + 1, column + 1, column};
  const double y[] = {row, row, row + 1, row + 1};
  plcol0(kFirstShade + std::clamp(int(share * (kShades - 1)), 0, kShades - 1));
  plfill(4, x, y);
  plcol0(share > 0.6 ? kWhite : kBlack);
  plptex(column + 0.5, row + 0.42, 1, 0, 0.5, fmt::format("{:g}", count).c_str());
  plptex(column + 0.5, row + 0.62, 1, 0, 0.5, fmt::format("{:.0f} %", 100 * share).c_str());
}

void draw_table(const CountTable& table) {
  const double size = double(table.names.size());
  plschr(table.names.size() > 6 ? 3.0 : 4.2, 1.0);
  plvpor(0.25, 0.97, 0.16, 0.9);
  plwind(0, size, size, 0);
  for (std::size_t row = 0; row < table.names.size(); ++row) {
    double sum = 0;
    for (const double count : table.counts[row]) sum += count;
    for (std::size_t column = 0; column < table.names.size(); ++column) {
      const double count = table.counts[row][column];
      draw_cell(double(column), double(row), count, sum > 0 ? count / sum : 0);
    }
  }
  plcol0(kBlack);
  plbox("bc", 0, 0, "bc", 0, 0);
  for (std::size_t i = 0; i < table.names.size(); ++i) {
    const std::string name = plain_text(table.names[i]);
    const double place = (double(i) + 0.5) / size;
    plmtex("b", 1.6, place, 0.5, name.c_str());
    plmtex("lv", 0.8, 1 - place, 1, name.c_str());
  }
  plmtex("b", 3.6, 0.5, 0.5, plain_text(table.column_label).c_str());
  plmtex("t", 0.8, -0.01, 1, plain_text(table.row_label).c_str());
  plschr(0, 1.2);
  plmtex("t", 1.4, 0.5, 0.5, plain_text(table.title).c_str());
}

/// The file is whole, or as it was.
template <class Draw>
void draw_file(const fs::path& png, const Draw& draw) {
  const fs::path temporary = with_nonce(png, ".tmp-");
  std::error_code error;
  try {
    check_memory();
    check_device(temporary);
    draw_page(temporary, draw);
    write_file_atomically(png, read_text_file(temporary, kPngLimitBytes));
  } catch (...) {
    fs::remove(temporary, error);
    throw;
  }
  fs::remove(temporary, error);
}

}  // namespace

std::vector<double> smoothed(const std::vector<double>& values) {
  const double window = std::max(2.0, double(values.size()) / 12);
  const double keep = 1 - 2 / (window + 1);
  std::vector<double> out;
  double sum = 0, weight = 0;
  for (const double value : values) {
    sum = keep * sum + value;
    weight = keep * weight + 1;
    out.push_back(sum / weight);
  }
  return out;
}

void draw_plot(const fs::path& png, const std::vector<PlotPanel>& panels) {
  expect(!panels.empty() && panels.size() <= 4, "a picture has one to four panels");
  draw_file(png, [&] { draw_panels(panels); });
}

void draw_counts(const fs::path& png, const CountTable& table) {
  expect(!table.names.empty() && table.counts.size() == table.names.size(),
         "a table has a name for each row");
  draw_file(png, [&] { draw_table(table); });
}

}  // namespace elenchus
