// RUN: vlmc-opt %s --vlm-plan-memory | FileCheck %s
// RUN: vlmc-opt %s --vlm-plan-memory --remarks-filter=.* --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK

vlm.weight @w : tensor<256x64xf32> = #vlm.recipe<read "w" : tensor<256x64xf32>>

// Values that do not live at once share; the sizes of a slot are those that none of its others covers. Outputs have no slot.
// REMARK: 5 buffers of entry 'line' share 2 slots; the arena has 81920 bytes at the symbols' maximum
// CHECK-LABEL: func.func @line
// CHECK-SAME:    vlm.slots = {{\[\[}}#vlm.size<1024 * B * T>], [#vlm.size<256 * B * T>]]
// CHECK:         vlm.call @narrow{{.*}} slots = array<i64: 1>, temps = array<i64>
// CHECK:         vlm.call @wide{{.*}} slots = array<i64: 0>, temps = array<i64>
// CHECK:         vlm.call @back{{.*}}scratch = #vlm.size<4 * T + 64>, slots = array<i64: 1>, temps = array<i64>
// CHECK:         vlm.call @narrow{{.*}} slots = array<i64: 0>
// CHECK:         vlm.call @narrow{{.*}} slots = array<i64: -1>
func.func @line(%x: tensor<?x?x64xf32> {vlm.name = "x", vlm.dims = ["B", "T", ""]}) -> (tensor<?x?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>, #vlm.symbol<"T", 1, 8, 16>]} {
  %0 = vlm.call @narrow(%x) : (tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  %w = vlm.get_weight @w : tensor<256x64xf32>
  %1 = vlm.call @wide(%0, %w) : (tensor<?x?x64xf32>, tensor<256x64xf32>) -> tensor<?x?x256xf32>
  %2 = vlm.call @back(%1) : (tensor<?x?x256xf32>) -> tensor<?x?x64xf32>
  %3 = vlm.call @narrow(%2) : (tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  %4 = vlm.call @narrow(%3) : (tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  return %4 : tensor<?x?x64xf32>
}

// An output that later calls read stays an output; a temporary shares with nothing of its own call; sizes over other symbols share a slot where
// that saves bytes at the maximum.
// CHECK-LABEL: func.func @temporaries
// CHECK-SAME:    vlm.slots = {{\[\[}}#vlm.size<1024 * B * T + 128>]]
// CHECK:         vlm.call @temp{{.*}} slots = array<i64: -1>, temps = array<i64: 0>
// CHECK:         vlm.call @narrow{{.*}} slots = array<i64: 0>
// CHECK:         vlm.call @narrow{{.*}} slots = array<i64: -1>
func.func @temporaries(%x: tensor<?x?x64xf32> {vlm.name = "x", vlm.dims = ["B", "T", ""]})
    -> (tensor<?x?x64xf32> {vlm.name = "y"}, tensor<?x?x64xf32> {vlm.name = "z"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>, #vlm.symbol<"T", 1, 8, 16>]} {
  %0 = vlm.call @temp(%x) : (tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  %1 = vlm.call @narrow(%0) : (tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  %2 = vlm.call @narrow(%1) : (tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  return %0, %2 : tensor<?x?x64xf32>, tensor<?x?x64xf32>
}

vlm.kernel @narrow(%x: tensor<?x?x64xf32>) -> tensor<?x?x64xf32> attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows"} {
  %0 = vlm.activation relu %x : tensor<?x?x64xf32>
  vlm.yield %0 : tensor<?x?x64xf32>
}
vlm.kernel @temp(%x: tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<1024 * d0 * d1 + 128>]}} {
  %0 = vlm.activation gelu %x : tensor<?x?x64xf32>
  vlm.yield %0 : tensor<?x?x64xf32>
}
vlm.kernel @wide(%x: tensor<?x?x64xf32>, %w: tensor<256x64xf32>) -> tensor<?x?x256xf32> attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.linear %x, %w : (tensor<?x?x64xf32>, tensor<256x64xf32>) -> tensor<?x?x256xf32>
  vlm.yield %0 : tensor<?x?x256xf32>
}
vlm.kernel @back(%x: tensor<?x?x256xf32>) -> tensor<?x?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {scratch = #vlm.size<4 * d1 + 64>}} {
  %0 = vlm.slice_features %x [0, 64] : (tensor<?x?x256xf32>) -> tensor<?x?x64xf32>
  vlm.yield %0 : tensor<?x?x64xf32>
}
