// RUN: vlmc-opt %s --vlm-pack-weights --split-input-file --verify-diagnostics | FileCheck %s
// RUN: not vlmc-opt %s --vlm-pack-weights --split-input-file --remarks-filter=.* --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK-DAG: weight 'both' is stored a second time as f32.rows: 16384 bytes more
// REMARK-DAG: kernel 'mixed' reads argument 1 as f32: its calls pass weights of several stored types
// A table of embeddings is read from a product's panels.
// CHECK-DAG: vlm.weight @patches : tensor<64x3x8x8xf32, #vlm.layout<"f32.panel16">> = <pack "f32.panel16" (#vlm.recipe<read "p" : tensor<64x3x8x8xf32>>) : tensor<64x3x8x8xf32, #vlm.layout<"f32.panel16">>>
// CHECK-DAG: vlm.weight @tied : tensor<96x64xf32, #vlm.layout<"f32.panel16">>
// CHECK-DAG: vlm.weight @both : tensor<64x64xf32, #vlm.layout<"f32.panel16">>
// CHECK-DAG: vlm.weight @both.rows : tensor<64x64xf32, #vlm.layout<"f32.rows">>
// CHECK-DAG: vlm.weight @bias : tensor<96xf32, #vlm.layout<"f32.vector">>
// CHECK-DAG: vlm.weight @positions : tensor<16x64xf32, #vlm.layout<"f32.rows">>
vlm.weight @patches : tensor<64x3x8x8xf32> = #vlm.recipe<read "p" : tensor<64x3x8x8xf32>>
vlm.weight @tied : tensor<96x64xf32> = #vlm.recipe<read "b" : tensor<96x64xf32>>
vlm.weight @both : tensor<64x64xf32> = #vlm.recipe<read "d" : tensor<64x64xf32>>
vlm.weight @bias : tensor<96xf32> = #vlm.recipe<read "c" : tensor<96xf32>>
vlm.weight @positions : tensor<16x64xf32> = #vlm.recipe<read "e" : tensor<16x64xf32>>

// CHECK-LABEL: func.func @entry
// CHECK-DAG:     %[[P:.+]] = vlm.get_weight @patches : tensor<64x3x8x8xf32, #vlm.layout<"f32.panel16">>
// CHECK-DAG:     %[[T:.+]] = vlm.get_weight @tied : tensor<96x64xf32, #vlm.layout<"f32.panel16">>
// CHECK-DAG:     %[[W:.+]] = vlm.get_weight @both : tensor<64x64xf32, #vlm.layout<"f32.panel16">>
// CHECK-DAG:     %[[R:.+]] = vlm.get_weight @both.rows : tensor<64x64xf32, #vlm.layout<"f32.rows">>
// CHECK-DAG:     %[[E:.+]] = vlm.get_weight @positions
// CHECK:         vlm.call @embedding(%{{.*}}, %[[T]])
// CHECK:         vlm.call @patch_embed(%{{.*}}, %[[P]], %[[E]])
// CHECK:         vlm.call @linear(%{{.*}}, %[[T]], %{{.*}})
// CHECK:         vlm.call @square(%{{.*}}, %[[W]], %[[R]])
func.func @entry(%x: tensor<?x3x32x32xf32>, %v: tensor<?x64x64xf32>, %ids: tensor<?x?xi64>) -> (tensor<?x16x96xf32>, tensor<?x64x64xf32>, tensor<?x?x64xf32>) {
  %p = vlm.get_weight @patches : tensor<64x3x8x8xf32>
  %t = vlm.get_weight @tied : tensor<96x64xf32>
  %w = vlm.get_weight @both : tensor<64x64xf32>
  %b = vlm.get_weight @bias : tensor<96xf32>
  %e = vlm.get_weight @positions : tensor<16x64xf32>
  %2 = vlm.call @embedding(%ids, %t) : (tensor<?x?xi64>, tensor<96x64xf32>) -> tensor<?x?x64xf32>
  %0 = vlm.call @patch_embed(%x, %p, %e) : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>, tensor<16x64xf32>) -> tensor<?x16x64xf32>
  %1 = vlm.call @linear(%0, %t, %b) : (tensor<?x16x64xf32>, tensor<96x64xf32>, tensor<96xf32>) -> tensor<?x16x96xf32>
  %3 = vlm.call @square(%v, %w, %w) : (tensor<?x64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<?x64x64xf32>
  return %1, %3, %2 : tensor<?x16x96xf32>, tensor<?x64x64xf32>, tensor<?x?x64xf32>
}
// CHECK: vlm.kernel @embedding(%{{.*}}, %{{.*}}: tensor<96x64xf32, #vlm.layout<"f32.panel16">>)
vlm.kernel @embedding(%ids: tensor<?x?xi64>, %t: tensor<96x64xf32>) -> tensor<?x?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows"} {
  %0 = vlm.embedding %ids, %t : (tensor<?x?xi64>, tensor<96x64xf32>) -> tensor<?x?x64xf32>
  vlm.yield %0 : tensor<?x?x64xf32>
}
vlm.kernel @square(%v: tensor<?x64x64xf32>, %w: tensor<64x64xf32>, %r: tensor<64x64xf32>) -> tensor<?x64x64xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.linear %v, %w : (tensor<?x64x64xf32>, tensor<64x64xf32>) -> tensor<?x64x64xf32>
  %1 = vlm.add %0, %r : tensor<?x64x64xf32>, tensor<64x64xf32>
  vlm.yield %1 : tensor<?x64x64xf32>
}
// CHECK: vlm.kernel @patch_embed(%{{.*}}, %{{.*}}: tensor<64x3x8x8xf32, #vlm.layout<"f32.panel16">>, %{{.*}}: tensor<16x64xf32, #vlm.layout<"f32.rows">>)
vlm.kernel @patch_embed(%x: tensor<?x3x32x32xf32>, %p: tensor<64x3x8x8xf32>, %e: tensor<16x64xf32>) -> tensor<?x16x64xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.patch_embed %x, %p : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  %1 = vlm.add %0, %e : tensor<?x16x64xf32>, tensor<16x64xf32>
  vlm.yield %1 : tensor<?x16x64xf32>
}
// CHECK: vlm.kernel @linear(%{{.*}}, %{{.*}}: tensor<96x64xf32, #vlm.layout<"f32.panel16">>, %{{.*}}: tensor<96xf32, #vlm.layout<"f32.vector">>)
vlm.kernel @linear(%x: tensor<?x16x64xf32>, %w: tensor<96x64xf32>, %b: tensor<96xf32>) -> tensor<?x16x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.linear %x, %w bias %b : (tensor<?x16x64xf32>, tensor<96x64xf32>, tensor<96xf32>) -> tensor<?x16x96xf32>
  vlm.yield %0 : tensor<?x16x96xf32>
}

// -----

// Reference kernels read plain rows.
// CHECK: vlm.weight @w : tensor<96x64xf32, #vlm.layout<"f32.rows">>
vlm.weight @w : tensor<96x64xf32> = #vlm.recipe<read "b" : tensor<96x64xf32>>
func.func @entry(%x: tensor<?x64xf32>) -> tensor<?x96xf32> {
  %w = vlm.get_weight @w : tensor<96x64xf32>
  %0 = vlm.call @linear(%x, %w) : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}
vlm.kernel @linear(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "reference"} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  vlm.yield %0 : tensor<?x96xf32>
}

// -----

// What the checkpoint stores in 16 bits and recipes only move stays so, in
// panels and tables; vectors, and what is computed, are f32.
// CHECK-DAG: vlm.weight @b : tensor<96x65xf32, #vlm.layout<"bf16.panel16">> = <pack "bf16.panel16" (#vlm.recipe<concat
// CHECK-DAG: vlm.weight @h : tensor<96x65xf32, #vlm.layout<"f16.panel16">>
// CHECK-DAG: vlm.weight @s : tensor<96x65xf32, #vlm.layout<"f32.panel16">>
// CHECK-DAG: vlm.weight @table : tensor<50x65xf32, #vlm.layout<"bf16.rows">>
// CHECK-DAG: vlm.weight @bias : tensor<96xf32, #vlm.layout<"f32.vector">>
vlm.weight @b : tensor<96x65xf32> = #vlm.recipe<concat [0] (#vlm.recipe<convert (#vlm.recipe<read "q" : tensor<48x65xbf16>>) : tensor<48x65xf32>>, #vlm.recipe<slice [0, 1, 49] (#vlm.recipe<convert (#vlm.recipe<read "k" : tensor<96x65xbf16>>) : tensor<96x65xf32>>) : tensor<48x65xf32>>) : tensor<96x65xf32>>
vlm.weight @h : tensor<96x65xf32> = #vlm.recipe<convert (#vlm.recipe<read "h" : tensor<96x65xf16>>) : tensor<96x65xf32>>
vlm.weight @s : tensor<96x65xf32> = #vlm.recipe<scale 3.000000e+00 (#vlm.recipe<convert (#vlm.recipe<read "h" : tensor<96x65xf16>>) : tensor<96x65xf32>>) : tensor<96x65xf32>>
vlm.weight @table : tensor<50x65xf32> = #vlm.recipe<convert (#vlm.recipe<read "t" : tensor<50x65xbf16>>) : tensor<50x65xf32>>
vlm.weight @bias : tensor<96xf32> = #vlm.recipe<convert (#vlm.recipe<read "v" : tensor<96xbf16>>) : tensor<96xf32>>
// CHECK: func.func @entry
func.func @entry(%ids: tensor<?x?xi64>, %x: tensor<?x65xf32>) -> (tensor<?x?x96xf32>, tensor<?x96xf32>, tensor<?x96xf32>, tensor<?x96xf32>) {
  %b = vlm.get_weight @b : tensor<96x65xf32>
  %h = vlm.get_weight @h : tensor<96x65xf32>
  %s = vlm.get_weight @s : tensor<96x65xf32>
  %t = vlm.get_weight @table : tensor<50x65xf32>
  %v = vlm.get_weight @bias : tensor<96xf32>
  %0 = vlm.call @embedded(%ids, %t, %b, %v) : (tensor<?x?xi64>, tensor<50x65xf32>, tensor<96x65xf32>, tensor<96xf32>) -> tensor<?x?x96xf32>
  %1 = vlm.call @half(%x, %h) : (tensor<?x65xf32>, tensor<96x65xf32>) -> tensor<?x96xf32>
  %2 = vlm.call @mixed(%x, %s) : (tensor<?x65xf32>, tensor<96x65xf32>) -> tensor<?x96xf32>
  %3 = vlm.call @mixed(%x, %h) : (tensor<?x65xf32>, tensor<96x65xf32>) -> tensor<?x96xf32>
  return %0, %1, %2, %3 : tensor<?x?x96xf32>, tensor<?x96xf32>, tensor<?x96xf32>, tensor<?x96xf32>
}
// CHECK: vlm.kernel @embedded({{.*}}) {{.*}}scratch = #vlm.size<4324>
vlm.kernel @embedded(%ids: tensor<?x?xi64>, %t: tensor<50x65xf32>, %w: tensor<96x65xf32>, %v: tensor<96xf32>) -> tensor<?x?x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm", tiles = {kc = 65 : i64, mc = 60 : i64, mr = 6 : i64, np = 1 : i64, scratch = #vlm.size<100>, temps = []}} {
  %0 = vlm.embedding %ids, %t : (tensor<?x?xi64>, tensor<50x65xf32>) -> tensor<?x?x65xf32>
  %1 = vlm.linear %0, %w bias %v : (tensor<?x?x65xf32>, tensor<96x65xf32>, tensor<96xf32>) -> tensor<?x?x96xf32>
  vlm.yield %1 : tensor<?x?x96xf32>
}
vlm.kernel @half(%x: tensor<?x65xf32>, %w: tensor<96x65xf32>) -> tensor<?x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.linear %x, %w : (tensor<?x65xf32>, tensor<96x65xf32>) -> tensor<?x96xf32>
  vlm.yield %0 : tensor<?x96xf32>
}
// CHECK: vlm.kernel @mixed(%{{.*}}, %{{.*}}: tensor<96x65xf32, #vlm.layout<"f32.panel16">>)
vlm.kernel @mixed(%x: tensor<?x65xf32>, %w: tensor<96x65xf32>) -> tensor<?x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.linear %x, %w : (tensor<?x65xf32>, tensor<96x65xf32>) -> tensor<?x96xf32>
  %1 = vlm.activation relu %0 : tensor<?x96xf32>
  vlm.yield %1 : tensor<?x96xf32>
}

// -----

vlm.weight @w : tensor<64x64xf32> = #vlm.recipe<read "b" : tensor<64x64xf32>>
func.func @entry(%x: tensor<?x64xf32>, %v: tensor<64x64xf32>) -> tensor<?x64xf32> {
  %w = vlm.get_weight @w : tensor<64x64xf32>
  %0 = vlm.call @linear(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @linear(%0, %v) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
// expected-error@+1 {{argument 1 is a weight in some calls and a value in others; run --vlm-dedupe-kernels on kernels of their own}}
vlm.kernel @linear(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

vlm.weight @w : tensor<96x64xf32> = #vlm.recipe<read "b" : tensor<96x64xf32>>
func.func @entry(%ids: tensor<?x?xi64>) -> tensor<?x?x96xf32> {
  %w = vlm.get_weight @w : tensor<96x64xf32>
  %0 = vlm.call @tied(%ids, %w) : (tensor<?x?xi64>, tensor<96x64xf32>) -> tensor<?x?x96xf32>
  return %0 : tensor<?x?x96xf32>
}
// expected-error@+1 {{argument 1 is read in two layouts, panel16 and rows; pass the weight twice}}
vlm.kernel @tied(%ids: tensor<?x?xi64>, %w: tensor<96x64xf32>) -> tensor<?x?x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.embedding %ids, %w : (tensor<?x?xi64>, tensor<96x64xf32>) -> tensor<?x?x64xf32>
  %1 = vlm.linear %0, %w : (tensor<?x?x64xf32>, tensor<96x64xf32>) -> tensor<?x?x96xf32>
  vlm.yield %1 : tensor<?x?x96xf32>
}
