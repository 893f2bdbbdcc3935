//===-- Rows.cpp - kernels without a product: row-wise ops, token positions, pairs of rows ------------------------------------------------===//
#include "codegen/cpu/Generators.h"
#include "codegen/cpu/VectorMath.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

void cpu::generateRows(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) {
  Value yielded = kernel.getYielded()[0];
  int64_t features = vlm::getFeatures(yielded);
  addPhase(
      e, kernel, prefix, code,
      [&](Value args, Value begin, Value end) {
        KernelFrame frame(e, kernel, args);
        RowEmitter emitter(e, frame);
        e.loop(begin, end, 1, [&](Value m) {
          Row row = emitter.prepare(yielded, m);
          Value out = e.at(frame.result(0), e.mul(m, features));
          emitter.forFeatures(features, [&](Value k, Type type, int64_t valid) { e.storeMasked(row(k, type, valid), e.at(out, k), valid); });
        });
      },
      [&](DimFrame &dims) { return dims.rows(e, yielded); });
}

void cpu::generateTokenIndex(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) {
  auto op = kernel.getYielded()[0].getDefiningOp<vlm::TokenIndexOp>();
  bool largest = op.getKind() == vlm::TokenIndexKind::ArgMax;
  addPhase(
      e, kernel, prefix, code,
      [&](Value args, Value begin, Value end) {
        KernelFrame frame(e, kernel, args);
        Value tokens = frame.dims.dim(op.getIds(), 1);
        e.loop(begin, end, 1, [&](Value sequence) {
          Value ids = e.at(frame.operand(op.getIds()), e.mul(sequence, tokens), e.i64);
          // From the back, so that the first of equals is the one that stays.
          Value none = largest ? e.constant(INT64_MIN) : e.constant(0);
          SmallVector<Value> found = e.loop(e.constant(0), tokens, 1, {e.constant(0), none}, [&](Value i, ValueRange carried) {
            Value at = e.sub(e.sub(tokens, e.constant(1)), i);
            Value id = e.load(e.i64, e.at(ids, at, e.i64), 8);
            Value better = largest ? Value(arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sge, id, carried[1]))
                                   : e.equal(id, e.constant(op.getId()));
            return SmallVector<Value>{e.select(better, at, carried[0]), e.select(better, id, carried[1])};
          });
          Value index = arith::TruncIOp::create(e.b, e.loc, e.i32, found[0]);
          e.store(index, e.at(frame.result(0), sequence, e.i32));
        });
      },
      [&](DimFrame &dims) { return dims.dim(op.getIds(), 0); });
}

void cpu::generateContrast(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) {
  auto op = kernel.getYielded()[0].getDefiningOp<vlm::ContrastiveLogitsOp>();
  int64_t features = vlm::getFeatures(op.getImage());
  addPhase(
      e, kernel, prefix, code,
      [&](Value args, Value begin, Value end) {
        KernelFrame frame(e, kernel, args);
        RowEmitter emitter(e, frame);
        Value texts = frame.dims.dim(op.getText(), 0);
        Value scale = e.load(e.f32, frame.operand(op.getLogScale()));
        scale = op.getDivides() ? e.fdiv(e.fconstant(e.f32, 1), scale) : emitExp(e, scale);
        Value bias = op.getBias() ? e.load(e.f32, frame.operand(op.getBias())) : e.fconstant(e.f32, 0);
        e.loop(begin, end, 1, [&](Value image) {
          Value imageRow = e.at(frame.operand(op.getImage()), e.mul(image, features));
          e.loop(e.constant(0), texts, 1, [&](Value text) {
            Value textRow = e.at(frame.operand(op.getText()), e.mul(text, features));
            Value sums = e.fconstant(e.vector, 0);
            int64_t whole = features / e.lanes() * e.lanes();
            auto multiply = [&](Value k, Value sum, int64_t valid) {
              return e.fma(e.loadMasked(e.vector, e.at(imageRow, k), valid), e.loadMasked(e.vector, e.at(textRow, k), valid), sum);
            };
            if (whole)
              sums = e.loop(e.constant(0), e.constant(whole), e.lanes(), {sums}, [&](Value k, ValueRange carried) {
                return SmallVector<Value>{multiply(k, carried[0], e.lanes())};
              })[0];
            if (whole < features)
              sums = multiply(e.constant(whole), sums, features - whole);
            Value logit = e.fma(e.reduceAdd(sums), scale, bias);
            e.store(logit, e.at(frame.result(0), e.add(e.mul(image, texts), text)));
          });
        });
      },
      [&](DimFrame &dims) { return dims.dim(op.getImage(), 0); });
}
