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
