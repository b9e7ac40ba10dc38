#pragma once
// Line charts and tables of counts as PNG files.

#include <filesystem>
#include <string>
#include <vector>

namespace elenchus {

/// One line of a chart. Values that are not finite are left out.
struct PlotSeries {
  std::string name;  ///< for the legend
  std::vector<double> x, y;
  bool smooth = false;   ///< also draw a smoothed line, the raw one thin behind it
  bool markers = false;  ///< mark each point
};

struct PlotPanel {
  std::string title, x_label;
  std::vector<PlotSeries> series;
};

/// Draws one panel, or up to four in two columns, on white, 1200 x 900 pixels. Replaces the file in
/// one step. DeviceError if it cannot be written.
void draw_plot(const std::filesystem::path& png, const std::vector<PlotPanel>& panels);

/// A square table of counts: names down the side and along the foot, darker where a row's share is
/// larger.
struct CountTable {
  std::string title, row_label, column_label;
  std::vector<std::string> names;
  std::vector<std::vector<double>> counts;  ///< [row][column]
};

/// Draws it, as draw_plot().
void draw_counts(const std::filesystem::path& png, const CountTable& table);

/// Exponential moving average that follows about as much of a long series as of a short one.
std::vector<double> smoothed(const std::vector<double>& values);

}  // namespace elenchus
