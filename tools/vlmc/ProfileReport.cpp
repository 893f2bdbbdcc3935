//===- ProfileReport.cpp - Where the time of a run went -------------------===//
#include "tools/vlmc/ProfileReport.h"

#include "runtime/core/Size.h"
#include "tools/vlmc/Svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

namespace vlmc::tool {

using Json = nlohmann::ordered_json;

//===----------------------------------------------------------------------===//
// Gathering
//===----------------------------------------------------------------------===//

void ProfileReport::Cost::add(const Cost &other) {
  calls += other.calls;
  seconds += other.seconds;
  busy += other.busy;
  flops += other.flops;
  bytes += other.bytes;
}

ProfileReport::ProfileReport(const vlm_abi_entry &entry,
                             const vlm_abi_level &level,
                             const vlm_profile_t *profile,
                             const bench::Roofline &roof)
    : entry(entry), level(level), profile(profile), roof(roof),
      threads(vlm_profile_threads(profile)) {
  const int64_t *symbols = vlm_profile_sizes(profile);
  auto evaluate = [&](const vlm_abi_size &size) {
    int64_t value = 0;
    return rt::evaluate(size, symbols, value) ? double(value) : 0.0;
  };
  for (uint32_t i = 0; i < entry.n_steps; ++i) {
    const vlm_abi_step &step = entry.steps[i];
    steps.push_back({.name = step.label,
                     .strategy = level.kernels[step.kernel].strategy,
                     .calls = 1,
                     .flops = evaluate(step.flops),
                     .bytes = evaluate(step.bytes)});
  }
  addSpans();
}

/// A step lasts from the end of the one before to its own last piece.
void ProfileReport::addSpans() {
  size_t count = vlm_profile_span_count(profile);
  const vlm_span_t *spans = vlm_profile_spans(profile);
  if (!count)
    return;
  std::vector<int64_t> ends(steps.size(), 0);
  for (size_t i = 0; i < count; ++i) {
    steps[spans[i].step].busy +=
        double(spans[i].end_ns - spans[i].begin_ns) * 1e-9;
    ends[spans[i].step] = std::max(ends[spans[i].step], spans[i].end_ns);
  }
  int64_t begin = spans[0].begin_ns, last = begin;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (ends[i] <= last) // it had nothing to do
      continue;
    steps[i].seconds = double(ends[i] - last) * 1e-9;
    last = ends[i];
  }
  total = double(last - begin) * 1e-9;
}

std::vector<ProfileReport::Cost> ProfileReport::costsOfKernels() const {
  std::map<uint32_t, Cost> kernels;
  for (uint32_t i = 0; i < entry.n_steps; ++i) {
    uint32_t number = entry.steps[i].kernel;
    Cost &cost = kernels[number];
    cost.name = level.kernels[number].name;
    cost.strategy = level.kernels[number].strategy;
    cost.add(steps[i]);
  }
  std::vector<Cost> costs;
  for (auto &[number, cost] : kernels)
    costs.push_back(std::move(cost));
  std::ranges::stable_sort(costs, std::greater<>(), &Cost::seconds);
  return costs;
}

/// The time that the roofline allows in percent of the one taken; 0: unknown.
double ProfileReport::ofLimit(const Cost &cost) const {
  return cost.seconds > 0
             ? 100 * roof.limit(cost.flops, cost.bytes) / cost.seconds
             : 0;
}

/// Percent of the threads' time in which they had nothing to do.
double ProfileReport::idle(const Cost &cost) const {
  return cost.seconds > 0
             ? std::max(0.0, 100 * (1 - cost.busy / (cost.seconds * threads)))
             : 0;
}

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

void ProfileReport::printTable() const {
  std::printf("%s on %d threads: %.3f ms\n", entry.name, threads, total * 1e3);
  for (uint32_t i = 0; i < entry.n_symbols; ++i)
    std::printf("  %s = %lld", entry.symbols[i].name,
                (long long)vlm_profile_sizes(profile)[i]);
  std::printf("%s  roof: %.1f GFLOP/s, %.1f GB/s\n", entry.n_symbols ? "," : "",
              roof.flops * 1e-9, roof.bytes * 1e-9);
  std::printf("%9s %6s %6s %9s %8s %7s %6s  %-11s %s\n", "ms", "share", "calls",
              "GFLOP/s", "GB/s", "% roof", "% idle", "strategy", "kernel");
  Cost sum{.name = "all", .strategy = ""};
  auto print = [&](const Cost &cost) {
    double seconds = std::max(cost.seconds, 1e-12);
    std::printf("%9.3f %5.1f%% %6lld %9.1f %8.2f %7.1f %6.1f  %-11s %s\n",
                cost.seconds * 1e3,
                total > 0 ? 100 * cost.seconds / total : 0.0,
                (long long)cost.calls, cost.flops / seconds * 1e-9,
                cost.bytes / seconds * 1e-9, ofLimit(cost), idle(cost),
                cost.strategy.c_str(), cost.name.c_str());
  };
  for (const Cost &cost : costsOfKernels()) {
    print(cost);
    sum.add(cost);
  }
  print(sum);
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

Json ProfileReport::describe(const Cost &cost) const {
  return {{"name", cost.name},
          {"strategy", cost.strategy},
          {"calls", cost.calls},
          {"ms", cost.seconds * 1e3},
          {"flops", cost.flops},
          {"bytes", cost.bytes},
          {"roof_percent", ofLimit(cost)},
          {"idle_percent", idle(cost)}};
}

Json ProfileReport::json() const {
  Json sizes = Json::object();
  for (uint32_t i = 0; i < entry.n_symbols; ++i)
    sizes[entry.symbols[i].name] = vlm_profile_sizes(profile)[i];
  Json result = {{"entry", entry.name},     {"isa", level.isa},
                 {"threads", threads},      {"sizes", std::move(sizes)},
                 {"ms", total * 1e3},       {"roof_flops", roof.flops},
                 {"roof_bytes", roof.bytes}};
  for (const Cost &cost : costsOfKernels())
    result["kernels"].push_back(describe(cost));
  for (const Cost &cost : steps)
    result["steps"].push_back(describe(cost));
  return result;
}

Json ProfileReport::trace() const {
  Json events = Json::array();
  size_t count = vlm_profile_span_count(profile);
  const vlm_span_t *spans = vlm_profile_spans(profile);
  for (int thread = 0; thread < threads; ++thread)
    events.push_back(
        {{"ph", "M"},
         {"pid", 1},
         {"tid", thread},
         {"name", "thread_name"},
         {"args", {{"name", "thread " + std::to_string(thread)}}}});
  for (size_t i = 0; i < count; ++i) {
    const vlm_span_t &span = spans[i];
    const vlm_abi_kernel &kernel = level.kernels[entry.steps[span.step].kernel];
    events.push_back({{"ph", "X"},
                      {"pid", 1},
                      {"tid", span.thread},
                      {"name", steps[span.step].name},
                      {"cat", kernel.strategy},
                      {"ts", double(span.begin_ns - spans[0].begin_ns) * 1e-3},
                      {"dur", double(span.end_ns - span.begin_ns) * 1e-3},
                      {"args",
                       {{"kernel", kernel.name},
                        {"phase", span.phase},
                        {"tasks", span.tasks}}}});
  }
  return {{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}};
}

//===----------------------------------------------------------------------===//
// Picture
//===----------------------------------------------------------------------===//

namespace {
/// A place on double logarithmic axes.
struct Axes {
  static constexpr double width = 760, height = 460, margin = 60;
  static constexpr double left = 0.1, right = 1000; ///< operations per byte
  double bottom, top;                               ///< operations a second

  double x(double intensity) const {
    double at = std::log(std::clamp(intensity, left, right) / left) /
                std::log(right / left);
    return margin + at * (width - 2 * margin);
  }
  double y(double rate) const {
    double at = std::log(std::clamp(rate, bottom, top) / bottom) /
                std::log(top / bottom);
    return height - margin - at * (height - 2 * margin);
  }
};
} // namespace

static Axes axesFor(const bench::Roofline &roof) {
  return {.bottom = roof.flops * 1e-3, .top = roof.flops * 2};
}

/// Its area is its share of the time.
std::string ProfileReport::point(const Cost &cost) const {
  if (cost.flops <= 0 || cost.seconds <= 0 || cost.bytes <= 0)
    return "";
  Axes axes = axesFor(roof);
  return svgText("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"#27c\" "
                 "fill-opacity=\"0.5\"><title>",
                 axes.x(cost.flops / cost.bytes),
                 axes.y(cost.flops / cost.seconds),
                 3 + 20 * std::sqrt(cost.seconds / total)) +
         svgEscape(cost.name) +
         svgText(": %.3f ms, %.1f GFLOP/s, %.1f %% of the roof", //
                 cost.seconds * 1e3, cost.flops / cost.seconds * 1e-9,
                 ofLimit(cost)) +
         "</title></circle>\n";
}

std::string ProfileReport::svg() const {
  Axes axes = axesFor(roof);
  double ridge = roof.flops / roof.bytes;
  std::string text = svgBegin(Axes::width, Axes::height);
  text += svgText("<polyline fill=\"none\" stroke=\"black\" points=\"%.1f,%.1f "
                  "%.1f,%.1f %.1f,%.1f\"/>\n",
                  axes.x(Axes::left), axes.y(Axes::left * roof.bytes),
                  axes.x(ridge), axes.y(roof.flops), axes.x(Axes::right),
                  axes.y(roof.flops));
  for (double tick = Axes::left; tick <= Axes::right * 1.01; tick *= 10)
    text += svgText("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g"
                    "</text>\n",
                    axes.x(tick), Axes::height - Axes::margin + 18, tick);
  for (double share : {0.001, 0.01, 0.1, 1.0})
    text += svgText("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.3g"
                    "</text>\n",
                    Axes::margin - 6, axes.y(roof.flops * share) + 4,
                    roof.flops * share * 1e-9);
  text += svgText("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">"
                  "operations per byte</text>\n",
                  Axes::width / 2, Axes::height - 18);
  text += svgText("<text x=\"%.1f\" y=\"24\">GFLOP/s; ", Axes::margin) +
          svgEscape(entry.name) +
          svgText(", %d threads, %.3f ms</text>\n", threads, total * 1e3);
  for (const Cost &cost : costsOfKernels())
    text += point(cost);
  return text + "</svg>\n";
}

} // namespace vlmc::tool
