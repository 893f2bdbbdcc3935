// RUN: vlmc-opt %s --vlm-trim-padding | FileCheck %s
// RUN: vlmc-opt %s --vlm-trim-padding --remarks-filter=.* --remark-format=emitRemark --verify-diagnostics -o /dev/null

// A causal tower that picks a token by its id.
// CHECK-LABEL: func.func @picked
// CHECK-SAME:    vlm.trim = {id = 99 : i64, input = "ids", kind = "first_equal", symbol = "T"}
// expected-remark@+1 {{tokens behind the picked one are not computed}}
func.func @picked(%ids: tensor<?x?xi64> {vlm.name = "ids", vlm.dims = ["B", "T"]}, %mask: tensor<?x?xi64> {vlm.name = "mask", vlm.dims = ["B", "T"]},
    %table: tensor<100x64xf32> {vlm.name = "table", vlm.dims = ["", ""]}, %places: tensor<77x64xf32> {vlm.name = "places", vlm.dims = ["", ""]})
    -> (tensor<?x1x64xf32> {vlm.name = "y"}) attributes {vlm.entry} {
  %0 = vlm.embedding %ids, %table : (tensor<?x?xi64>, tensor<100x64xf32>) -> tensor<?x?x64xf32>
  %1 = vlm.add %0, %places : tensor<?x?x64xf32>, tensor<77x64xf32>
  %2 = vlm.attention %1, %1, %1 key_valid %mask {causal, num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi64>) -> tensor<?x?x64xf32>
  %3 = vlm.token_index first_equal %ids {id = 99 : i64} : (tensor<?x?xi64>) -> tensor<?x1xi32>
  %4 = vlm.take_tokens %2 index %3 : (tensor<?x?x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
  return %4 : tensor<?x1x64xf32>
}

// Tokens behind the picked one are looked at.
// CHECK-LABEL: func.func @bidirectional
// CHECK-NOT:     vlm.trim
// expected-remark@+1 {{padding is computed: attention sees tokens behind it}}
func.func @bidirectional(%ids: tensor<?x?xi64> {vlm.name = "ids", vlm.dims = ["B", "T"]}, %table: tensor<100x64xf32> {vlm.name = "table", vlm.dims = ["", ""]})
    -> (tensor<?x1x64xf32> {vlm.name = "y"}) attributes {vlm.entry} {
  %0 = vlm.embedding %ids, %table : (tensor<?x?xi64>, tensor<100x64xf32>) -> tensor<?x?x64xf32>
  %2 = vlm.attention %0, %0, %0 {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  %3 = vlm.token_index argmax %ids : (tensor<?x?xi64>) -> tensor<?x1xi32>
  %4 = vlm.take_tokens %2 index %3 : (tensor<?x?x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
  return %4 : tensor<?x1x64xf32>
}

// A result has a row for each token.
// CHECK-LABEL: func.func @tapped
// CHECK-NOT:     vlm.trim
// expected-remark@+1 {{padding is computed: a result has all tokens}}
func.func @tapped(%ids: tensor<?x?xi64> {vlm.name = "ids", vlm.dims = ["B", "T"]}, %table: tensor<100x64xf32> {vlm.name = "table", vlm.dims = ["", ""]})
    -> (tensor<?x1x64xf32> {vlm.name = "y"}, tensor<?x?x64xf32> {vlm.name = "all"}) attributes {vlm.entry} {
  %0 = vlm.embedding %ids, %table : (tensor<?x?xi64>, tensor<100x64xf32>) -> tensor<?x?x64xf32>
  %3 = vlm.token_index argmax %ids : (tensor<?x?xi64>) -> tensor<?x1xi32>
  %4 = vlm.take_tokens %0 index %3 : (tensor<?x?x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
  return %4, %0 : tensor<?x1x64xf32>, tensor<?x?x64xf32>
}

// Another token is taken than the picked one.
// CHECK-LABEL: func.func @last
// CHECK-NOT:     vlm.trim
// expected-remark@+1 {{padding is computed: another token is taken}}
func.func @last(%ids: tensor<?x?xi64> {vlm.name = "ids", vlm.dims = ["B", "T"]}, %table: tensor<100x64xf32> {vlm.name = "table", vlm.dims = ["", ""]})
    -> (tensor<?x1x64xf32> {vlm.name = "y"}, tensor<?x1x64xf32> {vlm.name = "z"}) attributes {vlm.entry} {
  %0 = vlm.embedding %ids, %table : (tensor<?x?xi64>, tensor<100x64xf32>) -> tensor<?x?x64xf32>
  %3 = vlm.token_index argmax %ids : (tensor<?x?xi64>) -> tensor<?x1xi32>
  %4 = vlm.take_tokens %0 index %3 : (tensor<?x?x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
  %5 = vlm.take_tokens %0 at -1 : (tensor<?x?x64xf32>) -> tensor<?x1x64xf32>
  return %4, %5 : tensor<?x1x64xf32>, tensor<?x1x64xf32>
}

// Nothing is picked: nothing to say.
// CHECK-LABEL: func.func @plain
// CHECK-NOT:     vlm.trim
func.func @plain(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"}) attributes {vlm.entry} {
  %0 = vlm.activation gelu %x : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// Attention sees what a mask shows, and a learned query pools it.
// CHECK-LABEL: func.func @masked
// CHECK-SAME:    vlm.trim = {id = 0 : i64, input = "mask", kind = "mask", symbol = "T"}
// expected-remark@+1 {{tokens behind the last one that the mask shows are not computed}}
func.func @masked(%pixels: tensor<?x?x12xf32> {vlm.name = "pixels", vlm.dims = ["B", "T", ""]}, %mask: tensor<?x?xi64> {vlm.name = "mask", vlm.dims = ["B", "T"]},
    %grid: tensor<?x2xi64> {vlm.name = "grid", vlm.dims = ["B", ""]}, %w: tensor<64x12xf32> {vlm.name = "w", vlm.dims = ["", ""]},
    %table: tensor<16x64xf32> {vlm.name = "table", vlm.dims = ["", ""]}, %asking: tensor<1x1x64xf32> {vlm.name = "asking", vlm.dims = ["", "", ""]})
    -> (tensor<?x1x64xf32> {vlm.name = "y"}) attributes {vlm.entry} {
  %0 = vlm.linear %pixels, %w : (tensor<?x?x12xf32>, tensor<64x12xf32>) -> tensor<?x?x64xf32>
  %1 = vlm.add_grid_positions %0, %table, %grid : tensor<?x?x64xf32>, tensor<16x64xf32>, tensor<?x2xi64>
  %2 = vlm.attention %1, %1, %1 key_valid %mask {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi64>) -> tensor<?x?x64xf32>
  %3 = vlm.attention %asking, %2, %2 key_valid %mask {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<1x1x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi64>) -> tensor<?x1x64xf32>
  return %3 : tensor<?x1x64xf32>
}

// The first token is there whatever is cut off; the last one is not.
// CHECK-LABEL: func.func @first
// CHECK-SAME:    kind = "mask"
// expected-remark@+1 {{tokens behind the last one that the mask shows are not computed}}
func.func @first(%ids: tensor<?x?xi64> {vlm.name = "ids", vlm.dims = ["B", "T"]}, %mask: tensor<?x?xi64> {vlm.name = "mask", vlm.dims = ["B", "T"]},
    %table: tensor<100x64xf32> {vlm.name = "table", vlm.dims = ["", ""]}) -> (tensor<?x1x64xf32> {vlm.name = "y"}) attributes {vlm.entry} {
  %0 = vlm.embedding %ids, %table : (tensor<?x?xi64>, tensor<100x64xf32>) -> tensor<?x?x64xf32>
  %1 = vlm.attention %0, %0, %0 key_valid %mask {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi64>) -> tensor<?x?x64xf32>
  %2 = vlm.take_tokens %1 at 0 : (tensor<?x?x64xf32>) -> tensor<?x1x64xf32>
  return %2 : tensor<?x1x64xf32>
}

// CHECK-LABEL: func.func @last_masked
// CHECK-NOT:     vlm.trim
// expected-remark@+1 {{padding is computed: another token is taken}}
func.func @last_masked(%ids: tensor<?x?xi64> {vlm.name = "ids", vlm.dims = ["B", "T"]}, %mask: tensor<?x?xi64> {vlm.name = "mask", vlm.dims = ["B", "T"]},
    %table: tensor<100x64xf32> {vlm.name = "table", vlm.dims = ["", ""]}) -> (tensor<?x1x64xf32> {vlm.name = "y"}) attributes {vlm.entry} {
  %0 = vlm.embedding %ids, %table : (tensor<?x?xi64>, tensor<100x64xf32>) -> tensor<?x?x64xf32>
  %1 = vlm.attention %0, %0, %0 key_valid %mask {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi64>) -> tensor<?x?x64xf32>
  %2 = vlm.take_tokens %1 at -1 : (tensor<?x?x64xf32>) -> tensor<?x1x64xf32>
  return %2 : tensor<?x1x64xf32>
}

// Padding sees padding, and so it may matter.
// CHECK-LABEL: func.func @unmasked_query
// CHECK-NOT:     vlm.trim
// expected-remark@+1 {{padding is computed: attention sees tokens that the mask hides}}
func.func @unmasked_query(%x: tensor<?x?x64xf32> {vlm.name = "x", vlm.dims = ["B", "T", ""]}, %mask: tensor<?x?xi64> {vlm.name = "mask", vlm.dims = ["B", "T"]},
    %asking: tensor<1x1x64xf32> {vlm.name = "asking", vlm.dims = ["", "", ""]}) -> (tensor<?x1x64xf32> {vlm.name = "y"}) attributes {vlm.entry} {
  %1 = vlm.attention %x, %x, %x key_valid %mask {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi64>) -> tensor<?x?x64xf32>
  %2 = vlm.attention %asking, %1, %1 {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<1x1x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>) -> tensor<?x1x64xf32>
  return %2 : tensor<?x1x64xf32>
}
