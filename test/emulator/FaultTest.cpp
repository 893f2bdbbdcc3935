//===-- FaultTest.cpp - each fault is seen, and said ----------------------===//
#include "test/emulator/Support.h"

using namespace vlmc::emulator;
using testing::Test;

static const Options checked = {.check = true};

static void expectPart(const std::string &message, const std::string &part) {
  EXPECT_NE(message.find(part), std::string::npos)
      << "message: " << message << "\nexpected: " << part;
}

//===-- Loading and launching ---------------------------------------------===//

static std::string loadError(const std::string &text) {
  std::string error;
  EXPECT_FALSE(Module::load(text, {}, error));
  return error;
}

TEST(Load, UnknownOperationsAreNamed) {
  expectPart(loadError("declare void @llvm.nvvm.barrier.cluster.wait()\n"
                       "define ptx_kernel void @k() {\n"
                       "  call void @llvm.nvvm.barrier.cluster.wait()\n"
                       "  ret void\n}\n"),
             "@k: llvm.nvvm.barrier.cluster.wait is not emulated");
  expectPart(loadError("define ptx_kernel void @k() {\n"
                       "  call void asm sideeffect \"trap;\", \"\"()\n"
                       "  ret void\n}\n"),
             "@k: inline PTX that is not emulated: trap;");
  expectPart(loadError("declare float @__nv_nothing(float)\n"
                       "define ptx_kernel void @k(ptr %p) {\n"
                       "  %x = call float @__nv_nothing(float 1.0)\n"
                       "  store float %x, ptr %p\n  ret void\n}\n"),
             "@__nv_nothing: neither defined nor a function of libdevice");
  expectPart(loadError("define ptx_kernel void @k( {"), "kernels:1:");
}

TEST(Launch, SizesAreThoseOfTheKernel) {
  Kernels kernels("elements.ll");
  Device<float> x(8);
  auto run = [&](const Launch &launch) {
    return kernels.run("scale", launch, x.pointer(), x.pointer(), 1.0F,
                       int64_t{8});
  };
  EXPECT_EQ(run({.block = {257}}),
            "kernel @scale: blocks of 257 x 1 x 1 threads, where it is "
            "compiled for up to 256");
  expectPart(run({.block = {1025}}), "where a block has 1 to 1024");
  expectPart(run({.grid = {0}}), "a grid of 0 x 1 x 1 blocks");
  EXPECT_EQ(run({.sharedBytes = 300000}),
            "kernel @scale: 300000 bytes of shared memory, where a block has "
            "up to 232448");
  EXPECT_EQ(kernels.kind, FaultKind::Launch);
  EXPECT_EQ(kernels.run("scales", {}), "the module has no kernel @scales");
}

//===-- Accesses ----------------------------------------------------------===//

TEST(Bounds, AccessesOutsideOfBuffers) {
  Kernels kernels("elements.ll", checked);
  Device<float> x(100), y(128);
  EXPECT_EQ(kernels.run("scale_all", {.grid = {2}, .block = {64}}, x.pointer(),
                        y.pointer(), 1.0F),
            "kernel @scale_all, block (1,0,0), thread (36,0,0): load: 4-byte "
            "read outside of every buffer, 400 bytes behind the begin of a "
            "buffer of 400");
  EXPECT_EQ(kernels.kind, FaultKind::Address);
  expectPart(kernels.run("scale_all", {.block = {32}}, y.pointer(),
                         static_cast<void *>(nullptr), 1.0F),
             "thread (0,0,0): store: 4-byte write outside of every buffer");
}

TEST(Bounds, FreedBuffers) {
  Kernels kernels("elements.ll", checked);
  std::vector<float> gone(64);
  Buffers::add(gone.data(), 256);
  void *pointer = gone.data();
  EXPECT_EQ(kernels.run("scale_all", {.block = {64}}, pointer, pointer, 1.0F),
            "");
  Buffers::remove(gone.data());
  expectPart(kernels.run("scale_all", {.block = {64}}, pointer, pointer, 1.0F),
             "outside of every buffer");
}

TEST(Bounds, HalfTheSharedMemory) {
  Kernels kernels("gemm.ll", checked);
  Device<uint16_t> a(512), b(128);
  Device<float> c(256);
  EXPECT_EQ(kernels.run("gemm", {.block = {64}, .sharedBytes = 1280},
                        a.pointer(), b.pointer(), c.pointer(), 32, 8, 16, 0),
            "kernel @gemm, block (0,0,0), thread (0,0,0): "
            "cp.async.cg.shared.global.16.s: 16-byte write of shared memory "
            "at byte 1280, where the block has 1280");
}

TEST(Alignment, VectorsOffTheirBoundary) {
  Kernels kernels("elements.ll", checked);
  Device<float> x(64), y(32);
  EXPECT_EQ(kernels.run("misaligned", {.block = {8}}, x.pointer(), y.pointer()),
            "kernel @misaligned, block (0,0,0), thread (0,0,0): load: 16-byte "
            "read at an address that is 4 off a multiple of 16");
  EXPECT_EQ(kernels.kind, FaultKind::Alignment);
  // Without check mode it does what was meant.
  Kernels careless("elements.ll");
  Device<float> z(randomFloats(64, 1));
  EXPECT_EQ(
      careless.run("misaligned", {.block = {8}}, z.pointer(), y.pointer()), "");
  EXPECT_EQ(y[5], z[6]);
}

//===-- Races -------------------------------------------------------------===//

TEST(Races, ARemovedBarrier) {
  Kernels kernels("barriers.ll", checked);
  Device<uint32_t> y(128);
  EXPECT_EQ(kernels.run("neighbour", {.block = {128}}, y.pointer(), 1),
            "kernel @neighbour, block (0,0,0), thread (33,0,0): race: store: "
            "4-byte write of shared memory at byte 132 without a barrier since "
            "the read by thread (0,0,0)");
}

static std::string runGemm(int bug, uint64_t seed) {
  Kernels kernels("gemm.ll", {.check = true, .seed = seed});
  auto a = randomFloats(32 * 64, 1), b = randomFloats(8 * 64, 2);
  Device<uint16_t> da(toHalf(a)), db(toHalf(b));
  Device<float> c(256);
  return kernels.run("gemm", {.block = {64}, .sharedBytes = 2560}, da.pointer(),
                     db.pointer(), c.pointer(), 32, 8, 64, bug);
}

TEST(Races, BarriersRemovedBeforeAndAfterUse) {
  for (uint64_t seed : {0, 1, 2}) {
    EXPECT_EQ(runGemm(0, seed), "");
    expectPart(runGemm(2, seed), "race: ");
    expectPart(runGemm(4, seed), "race: ");
  }
}

TEST(Races, CopiesNotWaitedFor) {
  // Barriers do not help where the wait is missing.
  for (int bug : {1, 3}) {
    std::string message = runGemm(bug, 0);
    expectPart(message, "race: ldmatrix.sync.aligned.m8n8.x4.b16: 16-byte "
                        "read of shared memory at byte ");
    expectPart(message, "since the write by a copy that was not waited for");
  }
}

TEST(Races, LanesOfAWarp) {
  Kernels kernels("warp.ll", checked);
  Device<uint32_t> y(32);
  EXPECT_EQ(kernels.run("exchange_lanes", {.block = {32}}, y.pointer(), 1), "");
  for (uint32_t lane = 0; lane < 32; ++lane)
    EXPECT_EQ(y[lane], lane ^ 1);
  expectPart(kernels.run("exchange_lanes", {.block = {32}}, y.pointer(), 0),
             "thread (1,0,0): race: store: 4-byte write of shared memory at "
             "byte 4 without a barrier since the read by thread (0,0,0)");
}

//===-- Divergence and deadlock -------------------------------------------===//

TEST(Divergence, LanesAtDifferentShuffles) {
  Kernels kernels("warp.ll");
  Device<uint32_t> y(32);
  EXPECT_EQ(kernels.run("divergent", {.block = {32}}, y.pointer()),
            "kernel @divergent, block (0,0,0), thread (16,0,0): divergence: "
            "comes to shfl.sync.idx.i32 with mask 0xffffffff while thread "
            "(0,0,0) of its warp waits in shfl.sync.up.i32 with mask "
            "0xffffffff");
}

TEST(Divergence, ShuffleOfALaneThatHasEnded) {
  Kernels kernels("warp.ll");
  Device<uint32_t> y(32);
  expectPart(kernels.run("ended", {.block = {32}}, y.pointer()),
             "thread (16,0,0): divergence: shfl.sync.bfly.f32 reads lane 0, "
             "which has ended or is not in the mask");
}

TEST(Divergence, TensorCoresOfPartOfAWarp) {
  Kernels kernels("mma.ll");
  Device<uint16_t> a(256), b(128);
  Device<float> c(128);
  expectPart(kernels.run("half", {.block = {24}}, a.pointer(), b.pointer(),
                         c.pointer(), c.pointer()),
             "of a warp of which 8 lanes are not there");
}

TEST(Divergence, HalfAWarpAtABarrier) {
  Kernels kernels("barriers.ll");
  Device<uint32_t> y(32);
  expectPart(kernels.run("half_barrier", {.block = {32}}, y.pointer()),
             "thread (16,0,0): divergence: comes to barrier 0 while thread "
             "(0,0,0) of its warp waits at another call of one");
}

TEST(Deadlock, ABarrierThatOthersDoNotReach) {
  Kernels kernels("barriers.ll");
  Device<uint32_t> y(64);
  EXPECT_EQ(kernels.run("hand_over", {.block = {64}}, y.pointer(), 2),
            "kernel @hand_over, block (0,0,0), deadlock: 32 threads from "
            "thread (32,0,0) on wait in barrier 2 (32 of 64 are there)");
}

TEST(Deadlock, AWordThatNothingWrites) {
  Kernels kernels("elements.ll");
  Device<uint32_t> y(std::vector<uint32_t>{0});
  expectPart(kernels.run("spin", {.block = {2}}, y.pointer()),
             "deadlock: 2 threads from thread (0,0,0) on wait in atomic");
}
