//===-- VlmSize.cpp - sizes over symbols: #vlm.size, arithmetic, the dims of an entry's values ------------------------------------------===//
#include "ir/Vlm/VlmSize.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace vlmc::vlm;

//===-- Size --------------------------------------------------------------------------------------------------------------------------===//

Size::Size(int64_t constant) {
  if (constant)
    terms[{}] = constant;
}

Size Size::symbol(StringRef name) {
  Size size;
  size.terms[{name.str()}] = 1;
  return size;
}

Size Size::fromAttr(SizeAttr attr) {
  Size size;
  for (auto [coefficient, symbols] : llvm::zip_equal(attr.getCoefficients(), attr.getSymbols())) {
    std::vector<std::string> key;
    for (Attribute name : symbols)
      key.push_back(cast<StringAttr>(name).str());
    size.terms[key] += coefficient;
  }
  return size;
}

SizeAttr Size::toAttr(MLIRContext *context) const {
  Builder builder(context);
  SmallVector<int64_t> coefficients;
  SmallVector<ArrayAttr> symbols;
  // Terms of higher degree first reads as people write polynomials.
  std::vector<std::pair<std::vector<std::string>, int64_t>> ordered(terms.begin(), terms.end());
  llvm::stable_sort(ordered, [](const auto &a, const auto &b) { return a.first.size() > b.first.size(); });
  for (const auto &[key, coefficient] : ordered) {
    SmallVector<Attribute> names;
    for (const std::string &name : key)
      names.push_back(builder.getStringAttr(name));
    coefficients.push_back(coefficient);
    symbols.push_back(builder.getArrayAttr(names));
  }
  return SizeAttr::get(context, coefficients, symbols);
}

Size Size::operator+(const Size &other) const {
  Size sum = *this;
  for (const auto &[key, coefficient] : other.terms)
    sum.terms[key] += coefficient;
  return sum;
}

Size Size::operator*(const Size &other) const {
  Size product;
  for (const auto &[a, ca] : terms)
    for (const auto &[b, cb] : other.terms) {
      std::vector<std::string> key = a;
      key.insert(key.end(), b.begin(), b.end());
      llvm::sort(key);
      product.terms[key] += ca * cb;
    }
  return product;
}

bool Size::isConstant() const { return terms.empty() || (terms.size() == 1 && terms.begin()->first.empty()); }

int64_t Size::evaluate(const llvm::StringMap<int64_t> &values) const {
  int64_t sum = 0;
  for (const auto &[key, coefficient] : terms) {
    int64_t product = coefficient;
    for (const std::string &name : key)
      product *= values.lookup(name);
    sum += product;
  }
  return sum;
}

Size Size::substitute(const llvm::StringMap<Size> &values) const {
  Size sum;
  for (const auto &[key, coefficient] : terms) {
    Size product(coefficient);
    for (const std::string &name : key) {
      auto it = values.find(name);
      product = product * (it == values.end() ? Size::symbol(name) : it->second);
    }
    sum = sum + product;
  }
  return sum;
}

bool Size::isAtMost(const Size &other) const {
  for (const auto &[key, coefficient] : terms) {
    auto it = other.terms.find(key);
    if (it == other.terms.end() || it->second < coefficient)
      return false;
  }
  return true;
}

std::string Size::str() const {
  if (terms.empty())
    return "0";
  std::string text;
  for (const auto &[key, coefficient] : terms) {
    text += (text.empty() ? "" : " + ") + std::to_string(coefficient);
    for (const std::string &name : key)
      text += " * " + name;
  }
  return text;
}

//===-- #vlm.size ---------------------------------------------------------------------------------------------------------------------===//

LogicalResult SizeAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError, ArrayRef<int64_t> coefficients,
                               ArrayRef<ArrayAttr> symbols) {
  if (coefficients.size() != symbols.size())
    return emitError() << "a size has as many coefficients as terms";
  for (int64_t coefficient : coefficients)
    if (coefficient < 0)
      return emitError() << "coefficients of a size are not negative, but one is " << coefficient;
  return success();
}

/// Parses `3 * B * T`, `B` or `64` and adds the term to `size`.
static ParseResult parseTerm(AsmParser &parser, Size &size) {
  Size term(1);
  do {
    int64_t number = 0;
    OptionalParseResult parsed = parser.parseOptionalInteger(number);
    if (parsed.has_value()) {
      if (failed(*parsed))
        return failure();
      if (number < 0)
        return parser.emitError(parser.getCurrentLocation(), "coefficients of a size are not negative, but one is ") << number;
      term = term * Size(number);
      continue;
    }
    StringRef name;
    if (parser.parseKeyword(&name))
      return failure();
    term = term * Size::symbol(name);
  } while (succeeded(parser.parseOptionalStar()));
  size = size + term;
  return success();
}

Attribute SizeAttr::parse(AsmParser &parser, Type) {
  Size size;
  if (parser.parseLess())
    return {};
  do {
    if (parseTerm(parser, size))
      return {};
  } while (succeeded(parser.parseOptionalPlus()));
  if (parser.parseGreater())
    return {};
  return size.toAttr(parser.getContext());
}

void SizeAttr::print(AsmPrinter &printer) const {
  printer << '<';
  if (getCoefficients().empty())
    printer << '0';
  llvm::interleave(
      llvm::zip_equal(getCoefficients(), getSymbols()),
      [&](auto term) {
        auto [coefficient, symbols] = term;
        printer << coefficient;
        for (Attribute name : symbols)
          printer << " * " << cast<StringAttr>(name).getValue();
      },
      [&] { printer << " + "; });
  printer << '>';
}

//===-- DimAnalysis -------------------------------------------------------------------------------------------------------------------===//

FailureOr<DimAnalysis> DimAnalysis::compute(func::FuncOp entry) {
  DimAnalysis analysis;
  for (BlockArgument argument : entry.getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    auto names = entry.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), names::dims);
    if (!names || static_cast<int64_t>(names.size()) != type.getRank())
      return entry.emitOpError() << "argument " << argument.getArgNumber() << " needs '" << names::dims << "', one name per dimension of "
                                 << type;
    std::vector<Size> sizes;
    for (auto [size, name] : llvm::zip_equal(type.getShape(), names)) {
      StringRef symbol = cast<StringAttr>(name).getValue();
      if (ShapedType::isDynamic(size) == symbol.empty())
        return entry.emitOpError() << "argument " << argument.getArgNumber() << ": '" << names::dims
                                   << "' names exactly the dynamic dimensions of " << type;
      sizes.push_back(symbol.empty() ? Size(size) : Size::symbol(symbol));
    }
    analysis.dims[argument] = std::move(sizes);
  }
  for (Operation &op : entry.getBody().front().without_terminator())
    if (failed(analysis.visit(&op)))
      return failure();
  return analysis;
}

LogicalResult DimAnalysis::visitRegionOf(Operation *op, Region &region, ValueRange operands) {
  for (auto [argument, operand] : llvm::zip_equal(region.getArguments(), operands))
    dims[argument] = std::vector<Size>(dims[operand]); // a copy: inserting moves the map's values
  for (Operation &inner : region.front().without_terminator())
    if (failed(visit(&inner)))
      return failure();
  for (auto [result, yielded] : llvm::zip_equal(op->getResults(), region.front().getTerminator()->getOperands()))
    dims[result] = std::vector<Size>(dims[yielded]);
  return success();
}

LogicalResult DimAnalysis::visit(Operation *op) {
  if (auto group = dyn_cast<GroupOp>(op))
    return visitRegionOf(op, group.getBody(), group.getInputs());
  if (auto call = dyn_cast<CallOp>(op)) {
    auto kernel = SymbolTable::lookupNearestSymbolFrom<KernelOp>(op, call.getCalleeAttr());
    if (!kernel)
      return op->emitOpError() << "calls no known kernel '" << call.getCallee() << "'";
    if (failed(visitRegionOf(op, kernel.getBody(), call.getInputs())))
      return failure();
    // Now: the next call of the kernel gives its values other dims.
    Size sum;
    for (Operation &inner : kernel.getBody().front())
      sum = sum + countFlops(&inner);
    flops[op] = sum;
    return success();
  }
  auto source = dyn_cast<DimsOpInterface>(op);
  for (OpResult result : op->getResults()) {
    auto type = dyn_cast<RankedTensorType>(result.getType());
    if (!type)
      return op->emitOpError() << "has a result that is not a ranked tensor";
    std::vector<Size> sizes;
    for (int64_t i = 0; i < type.getRank(); ++i) {
      if (!type.isDynamicDim(i)) {
        sizes.emplace_back(type.getDimSize(i));
        continue;
      }
      if (!source)
        return op->emitOpError() << "has a dynamic dimension " << i << " of unknown source";
      auto [operand, dim] = source.getDimSource(result.getResultNumber(), i);
      sizes.push_back(dims[op->getOperand(operand)][dim]);
    }
    dims[result] = std::move(sizes);
  }
  return success();
}

/// Whether a convolution takes 16 products for each 2x2 of its results.
static bool isTransformed(Conv2dOp conv) {
  auto layout = dyn_cast_or_null<LayoutAttr>(conv.getWeight().getType().getEncoding());
  return layout && layout.getForm() == "winograd16";
}

Size DimAnalysis::countFlops(Operation *op) const {
  if (auto conv = dyn_cast<Conv2dOp>(op); conv && isTransformed(conv)) {
    auto [down, across] = conv.getResultSize();
    ArrayRef<int64_t> weight = conv.getWeight().getType().getShape();
    int64_t tiles = ((down + 1) / 2) * ((across + 1) / 2);
    return getDims(conv.getResult())[0] * Size(2 * 16 * tiles * weight[0] * weight[3]);
  }
  if (isa<LinearOp, PatchEmbedOp, Conv2dOp>(op)) { // all: input, weight [N, ...]
    ArrayRef<int64_t> weight = cast<RankedTensorType>(op->getOperand(1).getType()).getShape();
    int64_t terms = 2;
    for (int64_t size : weight.drop_front())
      terms *= size;
    return getElements(op->getResult(0)) * terms;
  }
  if (auto attention = dyn_cast<AttentionOp>(op)) // scores, then values
    return getElements(attention.getResult()) * getDims(attention.getKey())[1] * 4;
  if (auto contrast = dyn_cast<ContrastiveLogitsOp>(op))
    return getElements(contrast.getResult()) * (2 * getFeatures(contrast.getImage()));
  return {};
}

Size DimAnalysis::getFlops(CallOp call) const { return flops.lookup(call); }

ArrayRef<Size> DimAnalysis::getDims(Value value) const {
  auto it = dims.find(value);
  return it == dims.end() ? ArrayRef<Size>() : ArrayRef<Size>(it->second);
}

Size DimAnalysis::getElements(Value value) const {
  Size product(1);
  for (const Size &size : getDims(value))
    product = product * size;
  return product;
}

/// Whether the callee's `tiles.storage` says so of a result.
static bool isStoredIn16Bits(CallOp call, unsigned result) {
  auto kernel = SymbolTable::lookupNearestSymbolFrom<KernelOp>(call, call.getCalleeAttr());
  auto storage = kernel && kernel.getTilesAttr() ? kernel.getTilesAttr().getAs<ArrayAttr>("storage") : ArrayAttr();
  size_t i = call.getInputs().size() + result;
  if (!storage || i >= storage.size())
    return false;
  auto name = cast<StringAttr>(storage[i]).getValue();
  return name == "f16" || name == "bf16";
}

Size DimAnalysis::getBytes(Value value) const {
  auto type = cast<RankedTensorType>(value.getType());
  int64_t bits = type.getElementTypeBitWidth();
  // Of a packed weight, the layout says what is stored.
  if (auto layout = dyn_cast_or_null<LayoutAttr>(type.getEncoding()); layout && layout.getStorage() != "f32")
    bits = 16;
  // Of what a kernel makes, the kernel does where it was told.
  if (auto call = value.getDefiningOp<CallOp>())
    if (isStoredIn16Bits(call, cast<OpResult>(value).getResultNumber()))
      bits = 16;
  return getElements(value) * Size(std::max<int64_t>(1, bits / 8));
}

std::vector<Size> DimAnalysis::getCallDims(CallOp call) const {
  std::vector<Size> sizes;
  auto kernel = SymbolTable::lookupNearestSymbolFrom<KernelOp>(call, call.getCalleeAttr());
  for (auto [operand, type] : llvm::zip_equal(call.getInputs(), kernel.getArgumentTypes()))
    for (auto [i, size] : llvm::enumerate(cast<RankedTensorType>(type).getShape()))
      if (ShapedType::isDynamic(size))
        sizes.push_back(getDims(operand)[i]);
  return sizes;
}
