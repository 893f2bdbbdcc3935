//===- BindWeights.cpp - Which tensor is which weight ---------------------===//
#include "frontend/blocks/BindWeights.h"

#include "frontend/checkpoint/Checkpoint.h"

#include <algorithm>
#include <set>

namespace vlmc {

static constexpr size_t maxFaults = 10;

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

/// Matches `name` against a pattern in which `{}` stands for a number. The name
/// may go on behind the pattern with a '.' and more.
static bool matchName(std::string_view pattern, std::string_view name,
                      std::string &number, std::string_view &rest) {
  size_t hole = pattern.find("{}");
  std::string_view head = pattern.substr(0, hole);
  if (!name.starts_with(head))
    return false;
  name.remove_prefix(head.size());
  if (hole != pattern.npos) {
    size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
    number = std::string(name.substr(0, digits));
    name.remove_prefix(digits);
    std::string_view tail = pattern.substr(hole + 2);
    if (number.empty() || !name.starts_with(tail))
      return false;
    name.remove_prefix(tail.size());
  }
  rest = name;
  return rest.empty() || rest.front() == '.';
}

/// Puts a number into the `{}` of a pattern.
static std::string fillName(std::string pattern, const std::string &number) {
  if (size_t hole = pattern.find("{}"); hole != pattern.npos)
    pattern.replace(hole, 2, number);
  return pattern;
}

namespace {
/// Where a weight is in a checkpoint: its names in order of preference, and
/// which part of the tensor it is.
struct Place {
  std::vector<std::string> names;
  int64_t part = 0;
  int64_t parts = 0;
  int64_t groups = 0;
  int64_t span = 1;
  bool isTransposed = false;
};
} // namespace

/// A weight without a rule is called in the checkpoint as here.
static Place findPlace(const spec::ModelSpec &model,
                       const std::string &canonical) {
  for (const spec::WeightRule &rule : model.weights()) {
    std::string number;
    std::string_view rest;
    if (!matchName(rule.canonical(), canonical, number, rest))
      continue;
    if (rule.numbers_size() > 0 && !number.empty()) {
      // Longer numbers than these are no layer's.
      size_t layer = number.size() < 7 ? std::stoul(number) : SIZE_MAX;
      if (layer >= size_t(rule.numbers_size()))
        continue;
      number = std::to_string(rule.numbers(int(layer)));
    }
    std::vector<std::string> names;
    for (const std::string &name : rule.names())
      names.push_back(fillName(name, number) + std::string(rest));
    if (!names.empty())
      return {std::move(names),
              rule.part(),
              rule.parts(),
              rule.groups(),
              std::max<int64_t>(1, rule.span()),
              rule.transposed()};
  }
  return {{canonical}};
}

std::vector<WeightInfo> listWeights(const spec::ModelSpec &model) {
  std::vector<WeightInfo> all;
  for (const spec::Component &component : model.components()) {
    WeightList list(component.name());
    if (const Block *block = findBlock(component.kind_case()))
      block->listWeights(component, list);
    for (WeightInfo &info : list.take())
      all.push_back(std::move(info));
  }
  return all;
}

//===----------------------------------------------------------------------===//
// Binding
//===----------------------------------------------------------------------===//

namespace {
/// Gathers the messages about one checkpoint.
class Binder {
public:
  Binder(const WeightSource *source, const BindContext &context)
      : source(source), context(context) {}

  BoundWeight bind(WeightInfo info, const Place &place);
  void fault(const std::string &message) { faults.push_back(message); }
  /// "vision_config.hidden_size and vision_config.intermediate_size"
  std::string decidedBy(const WeightInfo &info) const;
  std::string fieldName(std::string_view component,
                        std::string_view field) const;
  std::optional<Failure> failure() const;

private:
  void missing(const WeightInfo &info, const std::vector<int64_t> &shape,
               const std::vector<std::string> &names);
  const WeightSource *source;
  const BindContext &context;
  std::vector<std::string> faults;
};
} // namespace

std::string Binder::fieldName(std::string_view component,
                              std::string_view field) const {
  if (context.fieldName)
    return context.fieldName(component, field);
  return std::string(field) + " of component '" + std::string(component) + "'";
}

std::string Binder::decidedBy(const WeightInfo &info) const {
  std::string text;
  std::set<std::string_view> done;
  for (std::string_view field : info.fields)
    if (done.insert(field).second)
      text += (text.empty() ? "" : " and ") + fieldName(info.component, field);
  return text;
}

std::optional<Failure> Binder::failure() const {
  if (faults.empty())
    return std::nullopt;
  std::string text;
  for (size_t i = 0; i < std::min(faults.size(), maxFaults); ++i)
    text += (i ? "\n" : "") + faults[i];
  if (faults.size() > maxFaults)
    text += "\n" + context.checkpoint + ": and " +
            std::to_string(faults.size() - maxFaults) + " more such faults";
  return Failure{text};
}

void Binder::missing(const WeightInfo &info, const std::vector<int64_t> &shape,
                     const std::vector<std::string> &names) {
  auto *checkpoint = dynamic_cast<const Checkpoint *>(source);
  for (const std::string &name : names)
    if (checkpoint && !checkpoint->unreadableDtype(name).empty())
      return fault(std::string(checkpoint->unreadableFile(name)) +
                   ": tensor '" + name +
                   "': expected F32, F16 or BF16, found " +
                   std::string(checkpoint->unreadableDtype(name)) +
                   "; save the model with unquantised weights");
  std::string text = context.checkpoint + ": tensor '" + names.front() + "'";
  for (size_t i = 1; i < names.size(); ++i)
    text += " or '" + names[i] + "'";
  text += " is missing, expected shape " + describeShape(shape);
  if (!info.fields.empty())
    text += " as " + decidedBy(info) + " say" +
            (decidedBy(info).find(" and ") == std::string::npos ? "s" : "");
  fault(text + "; complete the checkpoint or mend its config");
}

/// Files may hold a weight with further dimensions of 1 in front, as learned
/// tokens are.
static bool isSameShape(const std::vector<int64_t> &found,
                        const std::vector<int64_t> &expected) {
  if (found.size() < expected.size())
    return false;
  auto begin = found.end() - static_cast<ptrdiff_t>(expected.size());
  return std::equal(begin, found.end(), expected.begin()) &&
         std::all_of(found.begin(), begin, [](int64_t n) { return n == 1; });
}

BoundWeight Binder::bind(WeightInfo info, const Place &place) {
  BoundWeight bound;
  bound.info = std::move(info);
  bound.tensor = place.names.front();
  bound.part = place.part;
  bound.parts = place.parts;
  bound.groups = place.groups;
  bound.span = place.span;
  bound.isTransposed = place.isTransposed && bound.info.shape.size() == 2;
  std::vector<int64_t> expected = bound.info.shape;
  if (bound.parts && !expected.empty() &&
      expected.front() % (bound.span * std::max<int64_t>(1, bound.groups)))
    fault(context.checkpoint + ": weight '" + bound.info.name +
          "': expected rows for " + std::to_string(bound.span) + " parts in " +
          std::to_string(std::max<int64_t>(1, bound.groups)) +
          " groups, found " + std::to_string(expected.front()) +
          "; mend the spec's rule");
  if (bound.parts && !expected.empty())
    expected.front() = expected.front() / bound.span * bound.parts;
  if (bound.isTransposed)
    std::swap(expected.front(), expected.back());
  bound.shape = expected;
  if (!source)
    return bound;
  const WeightTensor *tensor = nullptr;
  for (const std::string &name : place.names)
    if (!tensor)
      tensor = source->find(name);
  if (!tensor) {
    missing(bound.info, expected, place.names);
    return bound;
  }
  bound.tensor = tensor->name;
  bound.type = tensor->type;
  bound.shape = tensor->shape;
  std::string where = tensor->file + ": tensor '" + tensor->name + "': ";
  bool isScalar =
      bound.info.shape.empty() &&
      (bound.shape.empty() || bound.shape == std::vector<int64_t>{1});
  bool isWrong = bound.parts ? bound.shape != expected
                             : !isSameShape(bound.shape, expected);
  if (isWrong && !isScalar)
    fault(where + "expected shape " + describeShape(expected) +
          (bound.info.fields.empty() ? "" : ", decided by ") +
          decidedBy(bound.info) + ", found " + describeShape(bound.shape) +
          "; take the config that belongs to these weights");
  if (bound.type != StoredType::F32 && bound.type != StoredType::F16 &&
      bound.type != StoredType::BF16)
    fault(where + "expected F32, F16 or BF16, found " +
          std::string(storedTypeName(bound.type)) +
          "; save the model with float weights");
  return bound;
}

Result<std::vector<BoundWeight>> bindWeights(const spec::ModelSpec &model,
                                             const WeightSource *source,
                                             const BindContext &context) {
  Binder binder(source, context);
  std::vector<BoundWeight> bound;
  for (WeightInfo &info : listWeights(model)) {
    Place place = findPlace(model, info.name);
    bound.push_back(binder.bind(std::move(info), place));
  }
  if (std::optional<Failure> failure = binder.failure())
    return *failure;
  return bound;
}

//===----------------------------------------------------------------------===//
// Tensors that are left over
//===----------------------------------------------------------------------===//

/// The part of a name before the first '.'.
static std::string_view firstPart(std::string_view name) {
  return name.substr(0, name.find('.'));
}

/// Patterns are whole names up to a '.', as those of rules.
static bool isIgnored(const spec::ModelSpec &model, const std::string &name) {
  std::string number;
  std::string_view rest;
  return std::ranges::any_of(model.ignored_tensors(),
                             [&](const std::string &pattern) {
                               return matchName(pattern, name, number, rest);
                             });
}

/// What to do about a surplus tensor of a modelled part: one of a layer that
/// the config does not count is told so.
static std::string surplusReason(const spec::ModelSpec &model,
                                 const std::string &tensor,
                                 const Binder &binder) {
  for (const spec::WeightRule &rule : model.weights())
    for (const std::string &name : rule.names()) {
      std::string number;
      std::string_view rest;
      if (name.find("{}") != name.npos && matchName(name, tensor, number, rest))
        return "belongs to layer " + number + ", beyond those that " +
               binder.fieldName(firstPart(rule.canonical()), "layers") +
               " counts; take the config that belongs to these weights";
    }
  return "is not used, though the part '" + std::string(firstPart(tensor)) +
         "' is modelled: expected no tensors but those of the model; the "
         "checkpoint may be of another architecture, take the config that "
         "belongs to these weights";
}

std::optional<Failure> checkWeights(const spec::ModelSpec &model,
                                    const WeightSource &source,
                                    const BindContext &context,
                                    std::vector<std::string> &warnings) {
  Result<std::vector<BoundWeight>> bound = bindWeights(model, &source, context);
  if (!bound)
    return bound.takeFailure();
  std::set<std::string> used;
  std::set<std::string, std::less<>> modelled;
  for (const BoundWeight &weight : *bound) {
    used.insert(weight.tensor);
    modelled.insert(std::string(firstPart(weight.tensor)));
  }
  Binder binder(&source, context);
  for (const std::string &name : source.names()) {
    if (used.count(name) || isIgnored(model, name))
      continue;
    if (modelled.count(firstPart(name)))
      binder.fault(context.checkpoint + ": tensor '" + name + "' " +
                   surplusReason(model, name, binder));
    else
      warnings.push_back(context.checkpoint + ": tensor '" + name +
                         "' is not part of the model and ignored");
  }
  return binder.failure();
}

} // namespace vlmc
