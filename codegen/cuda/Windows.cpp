//===-- Windows.cpp - elements of a picture's windows ---------------------===//
#include "codegen/cuda/Windows.h"

using namespace mlir;
using namespace vlmc;
using cpu::Emitter;
using cpu::KernelFrame;
using cpu::Storage;

/// Row m is patch m; its features are channel, y, x of the window.
Value cuda::emitPatchElement(Emitter &e, const KernelFrame &frame,
                             vlm::PatchEmbedOp op, Value m, Value at) {
  ArrayRef<int64_t> pixels =
      cast<RankedTensorType>(op.getPixels().getType()).getShape();
  int64_t side = cast<RankedTensorType>(op.getWeight().getType()).getDimSize(2);
  int64_t channels = pixels[1], height = pixels[2], width = pixels[3];
  int64_t across = width / side, count = across * (height / side);
  Value patch = e.rem(m, count), line = e.div(at, side);
  Value channel = e.add(e.mul(e.div(m, count), channels), e.div(line, side));
  Value y = e.add(e.mul(e.div(patch, across), side), e.rem(line, side));
  Value x = e.add(e.mul(e.rem(patch, across), side), e.rem(at, side));
  Value place = e.add(e.mul(e.add(e.mul(channel, height), y), width), x);
  Storage storage = frame.form(op.getPixels()).storage;
  return cpu::loadStored(
      e, storage, e.f32,
      e.at(frame.operand(op.getPixels()), place, cpu::elementOf(e, storage)),
      1);
}

/// Row m is output pixel m; its features are y, x, channel of the window, 0
/// outside of the picture.
Value cuda::emitWindowElement(Emitter &e, const KernelFrame &frame,
                              vlm::Conv2dOp op, Value m, Value at) {
  ArrayRef<int64_t> weight =
      cast<RankedTensorType>(op.getWeight().getType()).getShape();
  int64_t channels = weight[3], stride = op.getStride();
  int64_t height = op.getHeight(), width = op.getWidth();
  auto [down, across] = op.getResultSize();
  ArrayRef<int64_t> padding = op.getPadding();
  Value channel = e.rem(at, channels), window = e.div(at, channels);
  Value place = e.rem(m, down * across);
  Value y =
      e.add(e.mul(e.div(place, across), stride), e.div(window, weight[2]));
  Value x =
      e.add(e.mul(e.rem(place, across), stride), e.rem(window, weight[2]));
  Value isThere;
  auto clamp = [&](Value padded, int64_t before, int64_t size) {
    Value inside = e.sub(padded, e.constant(before));
    Value kept = e.max(e.min(inside, e.constant(size - 1)), e.constant(0));
    Value same = e.equal(inside, kept);
    isThere = isThere ? Value(arith::AndIOp::create(e.b, e.loc, isThere, same))
                      : same;
    return kept;
  };
  Value pixel = e.mul(clamp(y, padding[0], height), width);
  pixel = e.add(pixel, clamp(x, padding[1], width));
  Value picture = e.mul(e.div(m, down * across), height * width * channels);
  Value inside = op.readsPlanes() ? e.add(e.mul(channel, height * width), pixel)
                                  : e.add(e.mul(pixel, channels), channel);
  Storage storage = frame.form(op.getInput()).storage;
  Value value =
      cpu::loadStored(e, storage, e.f32,
                      e.at(frame.operand(op.getInput()), e.add(picture, inside),
                           cpu::elementOf(e, storage)),
                      1);
  return e.select(isThere, value, e.fconstant(e.f32, 0));
}
