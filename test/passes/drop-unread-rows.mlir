// RUN: vlmc-opt %s --vlm-drop-unread-rows | FileCheck %s
// RUN: vlmc-opt %s --vlm-drop-unread-rows --remarks-filter=.* --remark-format=emitRemark --verify-diagnostics -o /dev/null

// CHECK-LABEL: func.func @row_by_row
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<?x9x64xf32>, %[[W:[a-z0-9]+]]: tensor<64x64xf32>, %[[N:[a-z0-9]+]]: tensor<64xf32>
// CHECK:         %[[T:.+]] = vlm.take_tokens %[[X]] at 0
// CHECK:         %[[A:.+]] = vlm.layer_norm %[[T]], %[[N]], %[[N]] {{.*}} : tensor<?x1x64xf32>
// CHECK:         %[[B:.+]] = vlm.linear %[[A]], %[[W]] : (tensor<?x1x64xf32>, tensor<64x64xf32>) -> tensor<?x1x64xf32>
// CHECK:         %[[C:.+]] = vlm.activation {{ ?}}gelu %[[B]] : tensor<?x1x64xf32>
// CHECK:         %[[D:.+]] = vlm.add %[[T]], %[[C]] : tensor<?x1x64xf32>
// CHECK:         %[[E:.+]] = vlm.add %[[D]], %[[N]] : tensor<?x1x64xf32>, tensor<64xf32>
// CHECK:         return %[[E]]
func.func @row_by_row(%x: tensor<?x9x64xf32>, %w: tensor<64x64xf32>, %n: tensor<64xf32>) -> tensor<?x1x64xf32> {
  // expected-remark@+1 {{layer_norm 'norm' is computed for the taken tokens only}}
  %0 = vlm.layer_norm %x, %n, %n {epsilon = 1.0e-05 : f64, vlm.label = "norm"} : tensor<?x9x64xf32>, tensor<64xf32>, tensor<64xf32>
  // expected-remark@+1 {{linear is computed}}
  %1 = vlm.linear %0, %w : (tensor<?x9x64xf32>, tensor<64x64xf32>) -> tensor<?x9x64xf32>
  // expected-remark@+1 {{activation is computed}}
  %2 = vlm.activation gelu %1 : tensor<?x9x64xf32>
  // expected-remark@+1 {{add is computed}}
  %3 = vlm.add %x, %2 : tensor<?x9x64xf32>, tensor<?x9x64xf32>
  // expected-remark@+1 {{add is computed}}
  %4 = vlm.add %3, %n : tensor<?x9x64xf32>, tensor<64xf32>
  %5 = vlm.take_tokens %4 at 0 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %5 : tensor<?x1x64xf32>
}

// Through a causal attention's query: the index becomes the query's position.
// CHECK-LABEL: func.func @causal
// CHECK-SAME:    %[[Q:[a-z0-9]+]]: tensor<?x?x64xf32>, %[[K:[a-z0-9]+]]: tensor<?x?x64xf32>, %[[IDS:[a-z0-9]+]]: tensor<?x?xi64>
// CHECK:         %[[I:.+]] = vlm.token_index {{.*}} %[[IDS]]
// CHECK:         %[[T:.+]] = vlm.take_tokens %[[Q]] index %[[I]]
// CHECK:         vlm.attention %[[T]], %[[K]], %[[K]] query_position %[[I]] key_valid %[[IDS]] {causal,
// CHECK-SAME:      (tensor<?x1x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x1xi32>, tensor<?x?xi64>) -> tensor<?x1x64xf32>
func.func @causal(%q: tensor<?x?x64xf32>, %k: tensor<?x?x64xf32>, %ids: tensor<?x?xi64>) -> tensor<?x1x64xf32> {
  // expected-remark@+1 {{attention is computed}}
  %0 = vlm.attention %q, %k, %k key_valid %ids {causal, num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi64>) -> tensor<?x?x64xf32>
  %1 = vlm.token_index argmax %ids : (tensor<?x?xi64>) -> tensor<?x1xi32>
  %2 = vlm.take_tokens %0 index %1 : (tensor<?x?x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
  return %2 : tensor<?x1x64xf32>
}

// Without a causal mask a query needs no position.
// CHECK-LABEL: func.func @bidirectional
// CHECK:         %[[T:.+]] = vlm.take_tokens
// CHECK-NOT:     query_position
// CHECK:         vlm.attention %[[T]],
func.func @bidirectional(%q: tensor<?x9x64xf32>) -> tensor<?x1x64xf32> {
  // expected-remark@+1 {{attention is computed}}
  %0 = vlm.attention %q, %q, %q {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  %1 = vlm.take_tokens %0 at 0 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %1 : tensor<?x1x64xf32>
}

// CHECK-LABEL: func.func @causal_constant
// CHECK:         vlm.attention
// CHECK-NEXT:    vlm.take_tokens
func.func @causal_constant(%q: tensor<?x9x64xf32>) -> tensor<?x1x64xf32> {
  %0 = vlm.attention %q, %q, %q {causal, num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64, vlm.label = "att"}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  // expected-remark@+1 {{all rows of attention 'att' are computed, though some are taken: it is causal and the token is known by a constant}}
  %1 = vlm.take_tokens %0 at 0 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %1 : tensor<?x1x64xf32>
}

// The last token is known by a constant, too; only queries move with it.
// CHECK-LABEL: func.func @last_token
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<?x?x64xf32>
// CHECK:         %[[Q:.+]] = vlm.take_tokens %[[X]] at -1
// CHECK:         vlm.attention %[[Q]], %[[X]], %[[X]]
func.func @last_token(%x: tensor<?x?x64xf32>) -> tensor<?x1x64xf32> {
  // expected-remark@+1 {{attention is computed}}
  %a = vlm.attention %x, %x, %x {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  %t = vlm.take_tokens %a at -1 : (tensor<?x?x64xf32>) -> tensor<?x1x64xf32>
  return %t : tensor<?x1x64xf32>
}

// CHECK-LABEL: func.func @shared_query
func.func @shared_query(%q: tensor<1x3x64xf32>, %k: tensor<?x9x64xf32>, %i: tensor<?x1xi32>) -> tensor<?x1x64xf32> {
  // CHECK: vlm.attention
  // CHECK-NEXT: vlm.take_tokens
  %a = vlm.attention %q, %k, %k {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<1x3x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x3x64xf32>
  // expected-remark@+1 {{its queries are shared by all sequences, each of which takes a token of its own}}
  %t = vlm.take_tokens %a index %i : (tensor<?x3x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
  return %t : tensor<?x1x64xf32>
}

// CHECK-LABEL: func.func @positioned
// CHECK:         vlm.attention
// CHECK-NEXT:    vlm.take_tokens
func.func @positioned(%q: tensor<?x9x64xf32>, %p: tensor<?x9xi32>) -> tensor<?x1x64xf32> {
  %0 = vlm.attention %q, %q, %q query_position %p {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9xi32>) -> tensor<?x9x64xf32>
  // expected-remark@+1 {{its queries have positions already}}
  %1 = vlm.take_tokens %0 at 0 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %1 : tensor<?x1x64xf32>
}

// A tap reads all rows: they stay, and so do the final bits.
// CHECK-LABEL: func.func @tap
// CHECK:         %[[A:.+]] = vlm.activation {{ ?}}gelu %{{.*}} : tensor<?x9x64xf32>
// CHECK:         %[[T:.+]] = vlm.take_tokens %[[A]]
// CHECK:         return %[[T]], %[[A]]
func.func @tap(%x: tensor<?x9x64xf32>) -> (tensor<?x1x64xf32>, tensor<?x9x64xf32>) {
  %0 = vlm.activation gelu %x {vlm.label = "act"} : tensor<?x9x64xf32>
  // expected-remark@+1 {{all rows of activation 'act' are computed, though some are taken: all its rows are read by return (result 1)}}
  %1 = vlm.take_tokens %0 at 0 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %1, %0 : tensor<?x1x64xf32>, tensor<?x9x64xf32>
}

// CHECK-LABEL: func.func @positions
// CHECK:         vlm.add
// CHECK-NEXT:    vlm.take_tokens
func.func @positions(%x: tensor<?x9x64xf32>, %p: tensor<9x64xf32>) -> tensor<?x1x64xf32> {
  %0 = vlm.add %x, %p : tensor<?x9x64xf32>, tensor<9x64xf32>
  // expected-remark@+1 {{it adds other rows of a weight to each token}}
  %1 = vlm.take_tokens %0 at 3 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %1 : tensor<?x1x64xf32>
}

// CHECK-LABEL: func.func @behind_learned
// CHECK-SAME:    %[[C:[a-z0-9]+]]: tensor<1x64xf32>, %[[X:[a-z0-9]+]]: tensor
// CHECK:         %[[T:.+]] = vlm.take_tokens %[[X]] at 2
// CHECK:         return %[[T]]
func.func @behind_learned(%c: tensor<1x64xf32>, %x: tensor<?x9x64xf32>) -> tensor<?x1x64xf32> {
  // expected-remark@+1 {{prepend_tokens is computed}}
  %0 = vlm.prepend_tokens %c, %x : (tensor<1x64xf32>, tensor<?x9x64xf32>) -> tensor<?x10x64xf32>
  %1 = vlm.take_tokens %0 at 3 : (tensor<?x10x64xf32>) -> tensor<?x1x64xf32>
  return %1 : tensor<?x1x64xf32>
}

// CHECK-LABEL: func.func @learned
// CHECK:         vlm.prepend_tokens
// CHECK-NEXT:    vlm.take_tokens
func.func @learned(%c: tensor<1x64xf32>, %x: tensor<?x9x64xf32>) -> tensor<?x1x64xf32> {
  %0 = vlm.prepend_tokens %c, %x : (tensor<1x64xf32>, tensor<?x9x64xf32>) -> tensor<?x10x64xf32>
  // expected-remark@+1 {{the token may be a learned one}}
  %1 = vlm.take_tokens %0 at 0 : (tensor<?x10x64xf32>) -> tensor<?x1x64xf32>
  return %1 : tensor<?x1x64xf32>
}

// CHECK-LABEL: func.func @embedding
// CHECK:         vlm.embedding
// CHECK-NEXT:    vlm.take_tokens
func.func @embedding(%ids: tensor<?x9xi64>, %t: tensor<99x64xf32>) -> tensor<?x1x64xf32> {
  %0 = vlm.embedding %ids, %t : (tensor<?x9xi64>, tensor<99x64xf32>) -> tensor<?x9x64xf32>
  // expected-remark@+1 {{its rows are not computed each by itself}}
  %1 = vlm.take_tokens %0 at 0 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %1 : tensor<?x1x64xf32>
}
