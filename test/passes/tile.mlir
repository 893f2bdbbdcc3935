// RUN: vlmc-opt %s --vlm-tile --split-input-file --verify-diagnostics | FileCheck %s
// RUN: vlmc-opt %s --vlm-tile=tile-rows=12 --split-input-file --verify-diagnostics | FileCheck %s --check-prefix=ROWS12
// RUN: vlmc-opt %s --vlm-tile=arch=cuda --split-input-file | FileCheck %s --check-prefix=CUDA
// RUN: vlmc-opt %s --vlm-tile="arch=cuda strategy=reference" --split-input-file | FileCheck %s --check-prefix=PLAIN
// RUN: vlmc-opt %s --vlm-tile=weights=bf16 --split-input-file --verify-diagnostics | FileCheck %s --check-prefix=NARROW
// RUN: not vlmc-opt %s --vlm-tile=strategy=fast --split-input-file 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// UNKNOWN: 'vlm.kernel' op cannot be tiled with strategy 'fast'; there are auto and reference

// Short sums are one block of K; the packed left side is a temporary of whole row panels.
// CHECK-LABEL: vlm.kernel @gemm
// CHECK-SAME:    strategy = "gemm", tiles = {kc = 64 : i64, mc = 960 : i64, mr = 6 : i64, np = 1 : i64, scratch = #vlm.size<0>, temps = [#vlm.size<256 * d0 * d1 + 1280>]}
// ROWS12-LABEL: vlm.kernel @gemm
// ROWS12-SAME:    mr = 12 : i64
// CUDA-LABEL: vlm.kernel @gemm
// CUDA-SAME:    strategy = "gemm", tiles = {scratch = #vlm.size<0>, temps = []}
// PLAIN-LABEL: vlm.kernel @gemm
// PLAIN-SAME:    strategy = "elements"
vlm.kernel @gemm(%x: tensor<?x?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x?x96xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.linear %x, %w : (tensor<?x?x64xf32>, tensor<96x64xf32>) -> tensor<?x?x96xf32>
  vlm.yield %0 : tensor<?x?x96xf32>
}

// Long sums are cut into equal blocks of at most 1024.
// CHECK-LABEL: vlm.kernel @long
// CHECK-SAME:    kc = 1000 : i64
vlm.kernel @long(%x: tensor<?x3000xf32>, %w: tensor<96x3000xf32>) -> tensor<?x96xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.linear %x, %w : (tensor<?x3000xf32>, tensor<96x3000xf32>) -> tensor<?x96xf32>
  vlm.yield %0 : tensor<?x96xf32>
}

// Attention keeps keys, values and scores of one head in each thread's scratch, which grows with the keys (d2).
// CHECK-LABEL: vlm.kernel @attention
// CHECK-SAME:    strategy = "attention", tiles = {{{.*}}scratch = #vlm.size<{{[0-9]+}} * d3 + {{[0-9]+}}>, temps = []}
vlm.kernel @attention(%q: tensor<?x?x64xf32>, %k: tensor<?x?x64xf32>) -> tensor<?x?x64xf32> attributes {anchor = #vlm<anchor_kind attention>} {
  %0 = vlm.attention %q, %k, %k {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  vlm.yield %0 : tensor<?x?x64xf32>
}

// CUDA-LABEL: vlm.kernel @attention
// CUDA-SAME:    strategy = "attention"
// CUDA-LABEL: vlm.kernel @rows
// CUDA-SAME:    strategy = "rows"
// CHECK-LABEL: vlm.kernel @rows
// CHECK-SAME:    strategy = "rows"
vlm.kernel @rows(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// CHECK-LABEL: vlm.kernel @index
// CHECK-SAME:    strategy = "token_index"
vlm.kernel @index(%ids: tensor<?x?xi64>) -> tensor<?x1xi32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.token_index argmax %ids : (tensor<?x?xi64>) -> tensor<?x1xi32>
  vlm.yield %0 : tensor<?x1xi32>
}

// CHECK-LABEL: vlm.kernel @contrast
// CHECK-SAME:    strategy = "contrast"
vlm.kernel @contrast(%i: tensor<?x64xf32>, %t: tensor<?x64xf32>, %s: tensor<1xf32>) -> tensor<?x?xf32> attributes {anchor = #vlm<anchor_kind contrast>} {
  %0 = vlm.contrastive_logits %i, %t, %s : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<1xf32>) -> tensor<?x?xf32>
  vlm.yield %0 : tensor<?x?xf32>
}

// A convolution of 3 x 3 in steps of 1 over enough pixels takes 16 multiply-adds in place of 36: tiles of 2 x 2 results (here 8 x 7 a picture, in panels of 6),
// each of 16 places, and in scratch the sums of 8 panels at all places.
// CHECK-LABEL: vlm.kernel @conv
// CHECK-SAME:    strategy = "winograd", tiles = {block = 8 : i64, mr = 6 : i64, np = 1 : i64, scratch = #vlm.size<50688>, temps = [#vlm.size<57344 * d0 + 5120>]}
// NARROW-LABEL: vlm.kernel @conv
// NARROW-SAME:    strategy = "gemm"
vlm.kernel @conv(%x: tensor<?x224x16xf32>, %w: tensor<32x3x3x16xf32>) -> tensor<?x224x32xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.conv2d %x, %w {height = 16 : i64, width = 14 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x224x16xf32>, tensor<32x3x3x16xf32>) -> tensor<?x224x32xf32>
  vlm.yield %0 : tensor<?x224x32xf32>
}

// Few tiles, whose weights would be most of what is read; larger steps.
// CHECK-LABEL: vlm.kernel @small
// CHECK-SAME:    strategy = "gemm"
vlm.kernel @small(%x: tensor<?x49x16xf32>, %w: tensor<32x3x3x16xf32>) -> tensor<?x49x32xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.conv2d %x, %w {height = 7 : i64, width = 7 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x49x16xf32>, tensor<32x3x3x16xf32>) -> tensor<?x49x32xf32>
  vlm.yield %0 : tensor<?x49x32xf32>
}
// CHECK-LABEL: vlm.kernel @steps
// CHECK-SAME:    strategy = "gemm"
vlm.kernel @steps(%x: tensor<?x1024x16xf32>, %w: tensor<32x3x3x16xf32>) -> tensor<?x256x32xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.conv2d %x, %w {height = 32 : i64, width = 32 : i64, stride = 2 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x1024x16xf32>, tensor<32x3x3x16xf32>) -> tensor<?x256x32xf32>
  vlm.yield %0 : tensor<?x256x32xf32>
}

// A kernel that asks for the reference keeps it; each value between two of its ops is a temporary.
// CHECK-LABEL: vlm.kernel @asked
// CHECK-SAME:    strategy = "reference", tiles = {scratch = #vlm.size<0>, temps = [#vlm.size<384 * d0>]}
vlm.kernel @asked(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "reference"} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  %1 = vlm.activation relu %0 : tensor<?x96xf32>
  vlm.yield %1 : tensor<?x96xf32>
}

// -----

// expected-error@+1 {{has anchor gemm, but holds no linear, patch_embed or conv2d}}
vlm.kernel @no_gemm(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{has anchor attention, but holds none}}
vlm.kernel @no_attention(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind attention>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
