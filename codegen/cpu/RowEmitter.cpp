//===-- RowEmitter.cpp - the values of a kernel's region, row by row --------------------------------------------------------------------===//
#include "codegen/cpu/RowEmitter.h"
#include "codegen/cpu/VectorMath.h"
#include "codegen/cpu/Widen.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

//===-- Frames ------------------------------------------------------------------------------------------------------------------------===//

DimFrame::DimFrame(Emitter &e, vlm::KernelOp kernel, Value dims) {
  fill(e, kernel, [&](int64_t i) { return e.load(e.i64, e.at(dims, i, e.i64), 8); });
}

DimFrame::DimFrame(Emitter &e, vlm::KernelOp kernel, ValueRange dims) {
  fill(e, kernel, [&](int64_t i) { return dims[i]; });
}

void DimFrame::fill(Emitter &e, vlm::KernelOp kernel, llvm::function_ref<Value(int64_t)> dynamicDim) {
  int64_t next = 0;
  for (BlockArgument argument : kernel.getBody().getArguments())
    for (int64_t size : cast<RankedTensorType>(argument.getType()).getShape())
      sizes[argument].push_back(ShapedType::isDynamic(size) ? dynamicDim(next++) : e.constant(size));
  for (Operation &op : kernel.getBody().front().without_terminator())
    for (OpResult result : op.getResults()) {
      SmallVector<Value> &shape = sizes[result];
      for (auto [i, size] : llvm::enumerate(cast<RankedTensorType>(result.getType()).getShape())) {
        if (!ShapedType::isDynamic(size)) {
          shape.push_back(e.constant(size));
          continue;
        }
        auto [operand, dim] = cast<vlm::DimsOpInterface>(op).getDimSource(result.getResultNumber(), i);
        shape.push_back(sizes[op.getOperand(operand)][dim]);
      }
    }
}

Value DimFrame::rows(Emitter &e, Value value) const {
  ArrayRef<Value> shape = sizes.find(value)->second;
  Value product = e.constant(1);
  for (Value size : shape.drop_back())
    product = e.mul(product, size);
  return product;
}

static Value loadPointer(Emitter &e, Value base, int64_t field) { return e.load(e.ptr, e.at(base, field, e.ptr), 8); }

// The fields of vlm_kernel_args: buffers, dims, scratch.
KernelFrame::KernelFrame(Emitter &e, vlm::KernelOp kernel, Value args)
    : kernel(kernel), scratch(loadPointer(e, args, 2)), dims(e, kernel, loadPointer(e, args, 1)) {
  Value table = loadPointer(e, args, 0);
  size_t temps = 0;
  if (DictionaryAttr tiles = kernel.getTilesAttr())
    if (auto list = tiles.getAs<ArrayAttr>("temps"))
      temps = list.size();
  size_t count = kernel.getArgumentTypes().size() + kernel.getResultTypes().size() + temps;
  for (size_t i = 0; i < count; ++i)
    buffers.push_back(loadPointer(e, table, i));
}

WeightForm KernelFrame::form(unsigned i) const {
  vlm::KernelOp kernel = this->kernel; // whose accessors are not const
  auto arguments = kernel.getArgumentTypes(), results = kernel.getResultTypes();
  WeightForm form = formOf(i < arguments.size() ? arguments[i] : results[i - arguments.size()]);
  DictionaryAttr tiles = kernel.getTilesAttr();
  auto storage = tiles ? tiles.getAs<ArrayAttr>("storage") : ArrayAttr();
  StringRef name = storage ? cast<StringAttr>(storage[i]).getValue() : "";
  for (Storage known : {Storage::F32, Storage::F16, Storage::BF16})
    if (name == storageName(known))
      form.storage = known;
  return form;
}

//===-- Rows --------------------------------------------------------------------------------------------------------------------------===//

void RowEmitter::forFeatures(int64_t features, llvm::function_ref<void(Value, Type, int64_t)> body) {
  int64_t whole = features / e.lanes() * e.lanes();
  if (whole)
    e.loop(e.constant(0), e.constant(whole), e.lanes(), [&](Value k) { body(k, e.vector, e.lanes()); });
  if (whole < features)
    body(e.constant(whole), e.vector, features - whole);
}

Value RowEmitter::sumOver(int64_t features, llvm::function_ref<Value(Value, Type, int64_t)> term) {
  if (sharedSum) {
    // What a term needs of its own is not shared: threads are at different terms.
    SharedSum sum = std::exchange(sharedSum, nullptr);
    Value result = sum(features, [&](Value k) { return term(k, e.f32, 1); });
    sharedSum = std::move(sum);
    return result;
  }
  int64_t whole = features / e.lanes() * e.lanes();
  Value sum = e.fconstant(e.vector, 0);
  if (whole)
    sum = e.loop(e.constant(0), e.constant(whole), e.lanes(), {sum}, [&](Value k, ValueRange carried) {
      return SmallVector<Value>{e.fadd(carried[0], term(k, e.vector, e.lanes()))};
    })[0];
  if (int64_t valid = features - whole) {
    // Lanes past the row must not count, whatever `term` makes of them.
    SmallVector<bool> bits(e.lanes(), false);
    std::fill_n(bits.begin(), valid, true);
    Value mask = arith::ConstantOp::create(e.b, e.loc,
                                           DenseElementsAttr::get(VectorType::get({e.lanes()}, e.i1), ArrayRef<bool>(bits)));
    sum = e.fadd(sum, e.select(mask, term(e.constant(whole), e.vector, valid), e.fconstant(e.vector, 0)));
  }
  return e.reduceAdd(sum);
}

Row RowEmitter::memoryRow(Value argument, Value number) {
  WeightForm form = frame.form(argument);
  int64_t features = vlm::getFeatures(argument);
  if (form.panels)
    return panelRow(argument, number);
  Type element = elementOf(e, form.storage);
  Value row = e.at(frame.operand(argument), e.mul(number, features), element);
  return [this, row, form, element](Value k, Type type, int64_t valid) -> Value {
    return loadStored(e, form.storage, type, e.at(row, k, element), valid);
  };
}

/// A row of a weight that lies in panels is one of their columns.
Row RowEmitter::panelRow(Value argument, Value number) {
  Storage storage = formOf(argument.getType()).storage;
  Type element = elementOf(e, storage);
  int64_t depth = storedDepth(storage, vlm::getFeatures(argument));
  Value column = e.rem(number, panelColumns);
  Value panel = e.at(frame.operand(argument), e.mul(e.div(number, panelColumns), depth * panelColumns), element);
  return [=, this](Value k, Type type, int64_t valid) -> Value {
    return gatherStored(e, storage, type, valid, [&](int64_t lane) {
      Value at = e.add(k, lane);
      if (storage != Storage::BF16)
        return e.at(panel, e.add(e.mul(at, panelColumns), column), element);
      Value pair = e.add(e.mul(e.div(at, 2), panelColumns), column);
      return e.at(panel, e.add(e.mul(pair, 2), e.rem(at, 2)), element);
    });
  };
}

Row RowEmitter::prepare(Value value, Value m) {
  if (anchorValue && value == anchorValue)
    return anchorRow(m);
  if (isa<BlockArgument>(value))
    return memoryRow(value, m);
  return llvm::TypeSwitch<Operation *, Row>(value.getDefiningOp())
      .Case([&](vlm::AddOp op) { return prepareAdd(op, m); })
      .Case([&](vlm::LayerNormOp op) { return prepareLayerNorm(op, m); })
      .Case([&](vlm::L2NormalizeOp op) { return prepareL2Normalize(op, m); })
      .Case([&](vlm::EmbeddingOp op) { return prepareEmbedding(op, m); })
      .Case([&](vlm::PrependTokensOp op) { return preparePrepend(op, m); })
      .Case([&](vlm::TakeTokensOp op) { return prepareTake(op, m); })
      .Case([&](vlm::GroupNormOp op) { return prepareGroupNorm(op, m); })
      .Case([&](vlm::MaskFeaturesOp op) { return prepareMaskFeatures(op, m); })
      .Case([&](vlm::AveragePoolOp op) { return prepareAveragePool(op, m); })
      .Case([&](vlm::ScaleFeaturesOp op) { return prepareScaleFeatures(op, m); })
      .Case([&](vlm::DepthwiseConv2dOp op) { return prepareDepthwise(op, m); })
      .Case([&](vlm::AddGridPositionsOp op) { return prepareGridPositions(op, m); })
      .Case([&](vlm::GatedAddOp op) { return prepareGatedAdd(op, m); })
      .Case([&](vlm::MultiplyOp op) { return prepareMultiply(op, m); })
      .Case([&](vlm::ScaleOp op) -> Row {
        Row input = prepare(op.getInput(), m);
        double factor = op.getFactor().convertToDouble();
        return [this, input, factor](Value k, Type type, int64_t valid) { return e.fmul(input(k, type, valid), e.fconstant(type, factor)); };
      })
      .Case([&](vlm::MergeTokensOp op) { return prepareMergeTokens(op, m); })
      .Case([&](vlm::RmsNormOp op) { return prepareRmsNorm(op, m); })
      .Case([&](vlm::RopeOp op) { return prepareRope(op, m); })
      .Case([&](vlm::ReplaceTokensOp op) { return prepareReplaceTokens(op, m); })
      .Case([&](vlm::SliceTokensOp op) { return prepareSliceTokens(op, m); })
      .Case([&](vlm::SqueezeOp op) { return prepare(op.getInput(), m); })
      .Case([&](vlm::SliceFeaturesOp op) -> Row {
        Row input = prepare(op.getInput(), m);
        int64_t begin = op.getBegin();
        return [this, input, begin](Value k, Type type, int64_t valid) { return input(e.add(k, begin), type, valid); };
      })
      .Case([&](vlm::ActivationOp op) -> Row {
        Row input = prepare(op.getInput(), m);
        vlm::ActivationKind kind = op.getKind();
        return [this, input, kind](Value k, Type type, int64_t valid) { return emitActivation(e, kind, input(k, type, valid)); };
      });
}

Row RowEmitter::prepareAdd(vlm::AddOp op, Value m) {
  int64_t rank = cast<RankedTensorType>(op.getLhs().getType()).getRank();
  int64_t rhsRank = cast<RankedTensorType>(op.getRhs().getType()).getRank();
  Value rhsRow = m;
  if (rhsRank == 1) {
    rhsRow = e.constant(0);
  } else if (rhsRank < rank) {
    // Rows of the right side are counted over its own leading dimensions, which are the last of the left side's.
    Value period = e.constant(1);
    for (int64_t i = rank - rhsRank; i < rank - 1; ++i)
      period = e.mul(period, frame.dims.dim(op.getLhs(), i));
    rhsRow = e.rem(m, period);
  }
  Row lhs = prepare(op.getLhs(), m), rhs = prepare(op.getRhs(), rhsRow);
  return [this, lhs, rhs](Value k, Type type, int64_t valid) { return e.fadd(lhs(k, type, valid), rhs(k, type, valid)); };
}

void RowEmitter::outlineSums(StringRef stem, Value args) {
  outlineStem = stem.str();
  outlineArgs = args;
  outlineResults = LLVM::AllocaOp::create(e.b, e.loc, e.ptr, e.f32, e.constant(2));
}

SmallVector<Value> RowEmitter::ofRow(Operation *op, Value m, std::function<SmallVector<Value>(RowEmitter &, Value)> emit) {
  if (outlineStem.empty())
    return emit(*this, m);
  auto [it, isNew] = outlined.try_emplace(op);
  if (isNew)
    it->second = outlineStem + "_sums" + std::to_string(outlined.size() - 1);
  size_t count = 0;
  e.ensure(it->second, {e.ptr, e.i64, e.ptr}, [&](ValueRange a) {
    KernelFrame inner(e, frame.kernel, a[0]);
    RowEmitter rows(e, inner);
    for (Value value : emit(rows, a[1]))
      e.store(value, e.at(a[2], static_cast<int64_t>(count++)));
  });
  e.call(it->second, {outlineArgs, m, outlineResults});
  return {e.load(e.f32, outlineResults), e.load(e.f32, e.at(outlineResults, 1))};
}

/// Mean, and 1 / sqrt(variance + epsilon).
SmallVector<Value> RowEmitter::moments(const Row &input, int64_t features, double epsilon) {
  Value count = e.fconstant(e.f32, static_cast<double>(features));
  Value mean = e.fdiv(sumOver(features, input), count);
  Value squares = sumOver(features, [&](Value k, Type type, int64_t valid) {
    Value difference = e.fsub(input(k, type, valid), e.broadcast(type, mean));
    return e.fmul(difference, difference);
  });
  Value variance = e.fadd(e.fdiv(squares, count), e.fconstant(e.f32, epsilon));
  return {mean, e.fdiv(e.fconstant(e.f32, 1.0), e.sqrt(variance))};
}

Row RowEmitter::prepareLayerNorm(vlm::LayerNormOp op, Value m) {
  int64_t features = vlm::getFeatures(op.getInput());
  int64_t group = op.getGroupSize();
  double epsilon = op.getEpsilon().convertToDouble();
  Row input = prepare(op.getInput(), m);
  Row weight = prepare(op.getWeight(), e.constant(0)), bias = prepare(op.getBias(), e.constant(0));
  if (group != features)
    return groupNorm(input, weight, bias, group, epsilon, op.getGroup() != 0);
  SmallVector<Value> sums = ofRow(op, m, [op, features, epsilon](RowEmitter &rows, Value row) mutable {
    return rows.moments(rows.prepare(op.getInput(), row), features, epsilon);
  });
  Value mean = sums[0], inverse = sums[1];
  return [=, this](Value k, Type type, int64_t valid) {
    Value centred = e.fsub(input(k, type, valid), e.broadcast(type, mean));
    return e.fma(e.fmul(centred, e.broadcast(type, inverse)), weight(k, type, valid), bias(k, type, valid));
  };
}

Row RowEmitter::prepareL2Normalize(vlm::L2NormalizeOp op, Value m) {
  Row input = prepare(op.getInput(), m);
  Value norm = e.sqrt(sumOver(vlm::getFeatures(op.getInput()), [&](Value k, Type type, int64_t valid) {
    Value x = input(k, type, valid);
    return e.fmul(x, x);
  }));
  return [=, this](Value k, Type type, int64_t valid) { return e.fdiv(input(k, type, valid), e.broadcast(type, norm)); };
}

Row RowEmitter::prepareEmbedding(vlm::EmbeddingOp op, Value m) {
  Type idType = cast<RankedTensorType>(op.getIds().getType()).getElementType();
  Value id = e.load(idType, e.at(frame.operand(op.getIds()), m, idType));
  if (idType != e.i64)
    id = arith::ExtSIOp::create(e.b, e.loc, e.i64, id);
  return memoryRow(op.getTable(), id);
}

Row RowEmitter::preparePrepend(vlm::PrependTokensOp op, Value m) {
  auto type = cast<RankedTensorType>(op.getTokens().getType());
  int64_t front = type.getDimSize(type.getRank() - 2);
  int64_t rest = cast<RankedTensorType>(op.getInput().getType()).getDimSize(1);
  Value batch = e.div(m, front + rest), token = e.rem(m, front + rest);
  Value isFront = e.less(token, e.constant(front));
  // Both rows are addressed within bounds; the selection decides which one counts.
  Value number = e.min(token, e.constant(front - 1));
  if (type.getRank() == 3)
    number = e.add(e.mul(batch, front), number);
  Row tokens = prepare(op.getTokens(), number);
  Row input = prepare(op.getInput(), e.add(e.mul(batch, rest), e.max(e.sub(token, e.constant(front)), e.constant(0))));
  return [=, this](Value k, Type type, int64_t valid) { return e.select(isFront, tokens(k, type, valid), input(k, type, valid)); };
}

Row RowEmitter::prepareAveragePool(vlm::AveragePoolOp op, Value m) {
  int64_t width = op.getWidth(), size = op.getSize(), across = width / size;
  int64_t pixels = static_cast<int64_t>(op.getHeight()) * width;
  int64_t places = static_cast<int64_t>(op.getHeight()) / size * across;
  Value place = e.rem(m, places);
  Value corner = e.add(e.mul(e.div(m, places), pixels),
                       e.add(e.mul(e.div(place, across), size * width), e.mul(e.rem(place, across), size)));
  double share = 1.0 / static_cast<double>(size * size);
  if (size <= 2) {
    SmallVector<Row> square;
    for (int64_t i = 0; i < size * size; ++i)
      square.push_back(prepare(op.getInput(), e.add(corner, i / size * width + i % size)));
    return [=, this](Value k, Type type, int64_t valid) {
      Value sum = square[0](k, type, valid);
      for (const Row &row : ArrayRef(square).drop_front())
        sum = e.fadd(sum, row(k, type, valid));
      return e.fmul(sum, e.fconstant(type, share));
    };
  }
  return [=, this](Value k, Type type, int64_t valid) mutable {
    Value sum = e.loop(e.constant(0), e.constant(size * size), 1, {e.fconstant(type, 0)}, [&](Value i, ValueRange carried) {
      Value row = e.add(corner, e.add(e.mul(e.div(i, size), width), e.rem(i, size)));
      return SmallVector<Value>{e.fadd(carried[0], prepare(op.getInput(), row)(k, type, valid))};
    })[0];
    return e.fmul(sum, e.fconstant(type, share));
  };
}

Row RowEmitter::prepareTake(vlm::TakeTokensOp op, Value m) {
  Value tokens = frame.dims.dim(op.getInput(), 1);
  if (!op.getIndex()) {
    // A negative position counts from the end: from the next sequence's begin.
    int64_t position = *op.getPosition();
    Value begin = e.mul(position < 0 ? e.add(m, 1) : m, tokens);
    return prepare(op.getInput(), e.add(begin, position));
  }
  Value index = e.load(e.i32, e.at(frame.operand(op.getIndex()), m, e.i32));
  index = arith::ExtSIOp::create(e.b, e.loc, e.i64, index);
  Value batch = e.div(m, frame.dims.dim(op.getResult(), 1));
  return prepare(op.getInput(), e.add(e.mul(batch, tokens), index));
}
