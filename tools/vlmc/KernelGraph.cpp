//===- KernelGraph.cpp - A picture of an entry point's steps --------------===//
#include "tools/vlmc/KernelGraph.h"

#include "runtime/core/Size.h"
#include "tools/vlmc/Svg.h"

#include <algorithm>
#include <map>

namespace vlmc::tool {

static double evaluate(const vlm_abi_size &size,
                       const std::vector<int64_t> &symbols) {
  int64_t value = 0;
  return rt::evaluate(size, symbols.data(), value) ? double(value) : 0;
}

Costs costsOf(const vlm_abi_entry &entry, const std::vector<int64_t> &symbols) {
  Costs costs;
  for (uint32_t i = 0; i < entry.n_steps; ++i) {
    costs.flops += evaluate(entry.steps[i].flops, symbols);
    costs.bytes += evaluate(entry.steps[i].bytes, symbols);
  }
  return costs;
}

double limitOf(const vlm_abi_entry &entry, const std::vector<int64_t> &symbols,
               const Roof &roof) {
  double seconds = 0;
  for (uint32_t i = 0; i < entry.n_steps; ++i)
    seconds += roof.limit(evaluate(entry.steps[i].flops, symbols),
                          evaluate(entry.steps[i].bytes, symbols));
  return seconds;
}

namespace {

/// A value that goes from a step to a later one; -1: from an input.
struct Edge {
  int from, to;
};

/// Draws one entry point.
class Drawing {
public:
  Drawing(const vlm_abi_entry &entry, const vlm_abi_level &level,
          const std::vector<int64_t> &symbols)
      : entry(entry), level(level), symbols(symbols),
        all(costsOf(entry, symbols)) {}
  std::string draw();

private:
  static constexpr double boxLeft = 40, boxWidth = 560, boxHeight = 30,
                          gap = 14, top = 60, lane = 9;

  static double yOf(int step) { return top + step * (boxHeight + gap); }
  std::vector<Edge> findEdges() const;
  std::string box(int step) const;
  std::string edge(const Edge &edge, int &lanes) const;

  const vlm_abi_entry &entry;
  const vlm_abi_level &level;
  const std::vector<int64_t> &symbols;
  Costs all;
};

} // namespace

/// Who wrote last what each step reads.
std::vector<Edge> Drawing::findEdges() const {
  std::map<std::pair<uint32_t, uint32_t>, int> writers;
  std::vector<Edge> edges;
  for (uint32_t i = 0; i < entry.n_steps; ++i) {
    const vlm_abi_step &step = entry.steps[i];
    for (uint32_t b = 0; b < step.n_operands; ++b) {
      const vlm_abi_buffer &buffer = step.buffers[b];
      auto writer = writers.find({buffer.kind, buffer.index});
      if (writer != writers.end())
        edges.push_back({writer->second, int(i)});
      else if (buffer.kind == VLM_ABI_INPUT)
        edges.push_back({-1, int(i)});
    }
    for (uint32_t b = 0; b < step.n_results; ++b) {
      const vlm_abi_buffer &buffer = step.buffers[step.n_operands + b];
      writers[{buffer.kind, buffer.index}] = int(i);
    }
  }
  return edges;
}

std::string Drawing::box(int number) const {
  const vlm_abi_step &step = entry.steps[number];
  const vlm_abi_kernel &kernel = level.kernels[step.kernel];
  double flops = evaluate(step.flops, symbols),
         bytes = evaluate(step.bytes, symbols), y = yOf(number);
  double share = all.flops > 0 ? flops / all.flops : 0;
  std::string text = svgText(
      "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" rx=\"4\" "
      "fill=\"#f4f6fa\" stroke=\"#889\"/>\n",
      boxLeft, y, boxWidth, boxHeight);
  // The widest bar is a tenth of all operations.
  text +=
      svgText("<rect x=\"%.0f\" y=\"%.0f\" width=\"%.1f\" height=\"4\" "
              "fill=\"#27c\"/>\n",
              boxLeft, y + boxHeight - 4, boxWidth * std::min(1.0, 10 * share));
  text += svgText("<text x=\"%.0f\" y=\"%.0f\">", boxLeft + 8, y + 17) +
          svgEscape(step.label) + "</text>\n";
  text += svgText("<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\" "
                  "fill=\"#555\">",
                  boxLeft + boxWidth - 8, y + 17) +
          svgEscape(kernel.strategy) +
          svgText(", %.3g GFLOP, %.3g MB", flops * 1e-9, bytes * 1e-6) +
          "</text>\n<title>" + svgEscape(kernel.name) + "</title>\n";
  return "<g>" + text + "</g>\n";
}

/// To the next step straight down, else along a lane of its own on the right.
std::string Drawing::edge(const Edge &edge, int &lanes) const {
  double end = yOf(edge.to),
         start = edge.from < 0 ? top - 20 : yOf(edge.from) + boxHeight;
  if (edge.to - edge.from == 1)
    return svgText("<path d=\"M%.0f %.0f V%.0f\" marker-end=\"url(#a)\" "
                   "fill=\"none\" stroke=\"#446\"/>\n",
                   boxLeft + boxWidth / 2, start, end - 2);
  double right = boxLeft + boxWidth, out = right + 14 + lane * (lanes++ % 12);
  double from = edge.from < 0 ? start : start - boxHeight / 2;
  return svgText("<path d=\"M%.0f %.0f H%.0f V%.0f H%.0f\" "
                 "marker-end=\"url(#a)\" fill=\"none\" stroke=\"#9ab\"/>\n",
                 right, from, out, end + boxHeight / 2, right + 2);
}

std::string Drawing::draw() {
  double height = yOf(int(entry.n_steps)) + 20;
  std::string text = svgBegin(boxLeft + boxWidth + 150, height);
  text += "<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" "
          "markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 "
          "L8 4 L0 8 z\" fill=\"#446\"/></marker></defs>\n";
  std::string sizes;
  for (uint32_t i = 0; i < entry.n_symbols; ++i)
    sizes += ", " + std::string(entry.symbols[i].name) + " = " +
             std::to_string(symbols[i]);
  text += svgText("<text x=\"%.0f\" y=\"24\" font-size=\"15\">", boxLeft) +
          svgEscape(entry.name + sizes) +
          svgText(": %.3g GFLOP, %u steps</text>\n", all.flops * 1e-9,
                  entry.n_steps);
  int lanes = 0;
  for (const Edge &each : findEdges())
    text += edge(each, lanes);
  for (uint32_t i = 0; i < entry.n_steps; ++i)
    text += box(int(i));
  return text + "</svg>\n";
}

std::string drawSteps(const vlm_abi_entry &entry, const vlm_abi_level &level,
                      const std::vector<int64_t> &symbols) {
  return Drawing(entry, level, symbols).draw();
}

} // namespace vlmc::tool
