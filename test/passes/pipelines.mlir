// The whole way of a small dual encoder, which Inputs/dual_encoder.py prints.
//
// RUN: python3 %S/Inputs/dual_encoder.py --layers 2 > %t.2.mlir
// RUN: python3 %S/Inputs/dual_encoder.py --layers 4 > %t.4.mlir
// RUN: python3 %S/Inputs/dual_encoder.py --layers 2 --tap > %t.tap.mlir
// RUN: vlmc-opt %t.2.mlir --vlm-to-kernels -o %t.2.kernels.mlir
// RUN: FileCheck %s --check-prefix=KERNELS < %t.2.kernels.mlir
//
// The kernels border's dump can be fed back in and ends where the whole way ends.
// RUN: vlmc-opt %t.2.mlir --vlm-optimize -o %t.2.planned.mlir
// RUN: vlmc-opt %t.2.kernels.mlir --vlm-to-planned | diff %t.2.planned.mlir -
// RUN: FileCheck %s --check-prefix=PLANNED < %t.2.planned.mlir
// RUN: vlmc-opt %t.2.planned.mlir --vlm-verify-planned | diff %t.2.planned.mlir -
//
// The number of kernels does not grow with the depth.
// RUN: vlmc-opt %t.4.mlir --vlm-optimize | grep "vlm.kernel" > %t.4.kernels
// RUN: grep "vlm.kernel" %t.2.planned.mlir > %t.2.kernels
// RUN: wc -l < %t.2.kernels > %t.2.count
// RUN: wc -l < %t.4.kernels | diff %t.2.count -
//
// Taps keep the rows that they read.
// RUN: vlmc-opt %t.tap.mlir --vlm-to-kernels | FileCheck %s --check-prefix=TAP
//
// The reference: one op per kernel, the same borders.
// RUN: vlmc-opt %t.2.mlir --vlm-reference | FileCheck %s --check-prefix=REFERENCE
// RUN: vlmc-opt %t.2.mlir --vlm-to-reference-kernels --vlm-to-planned | FileCheck %s --check-prefix=PLANNED-REFERENCE
//
// What was done and what was not, as --explain prints it.
// RUN: vlmc-opt %t.2.mlir --vlm-optimize --remarks-filter=.* --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=EXPLAIN

// KERNELS-LABEL: func.func @encode_image
// KERNELS-SAME:    %[[PIXELS:[a-z0-9]+]]: tensor<?x3x32x32xf32>
// KERNELS:         vlm.call @patch_embed_add{{.*}}(%[[PIXELS]],
// KERNELS-NEXT:    vlm.get_weight
// KERNELS-NEXT:    vlm.get_weight
// KERNELS-NEXT:    %[[X:.+]] = vlm.call @prepend_norm
// KERNELS:         %[[QKV:.+]] = vlm.call @norm_linear_64x192{{[^(]*}}(%[[X]], {{.*}} {label = "vision.layers.0.attention.query+key+value"}
// KERNELS-NEXT:    %[[A:.+]] = vlm.call @attention_4x16{{[^(]*}}(%[[QKV]])
// KERNELS:         %[[Y:.+]] = vlm.call @linear_add_64x64{{[^(]*}}(%[[A]], %{{.*}}, %{{.*}}, %[[X]])
// KERNELS:         %[[H:.+]] = vlm.call @norm_linear_quick_gelu_64x128{{[^(]*}}(%[[Y]],
// KERNELS:         %[[Z:.+]] = vlm.call @linear_add_128x64{{[^(]*}}(%[[H]], %{{.*}}, %{{.*}}, %[[Y]])
// The last layer is computed for one token.
// KERNELS:         %[[Q:.+]] = vlm.call @norm_take_linear_64x64{{[^(]*}}(%[[Z]], {{.*}} -> tensor<?x1x64xf32>
// KERNELS:         %[[KV:.+]] = vlm.call @norm_linear_64x128{{[^(]*}}(%[[Z]], {{.*}} -> tensor<?x17x128xf32>
// KERNELS:         vlm.call @attention_4x16{{[^(]*}}(%[[Q]], %[[KV]])
// KERNELS:         vlm.call @take_linear_add_64x64{{.*}} -> tensor<?x1x64xf32>
// KERNELS:         %[[E:.+]] = vlm.call @l2_normalize
// KERNELS-NEXT:    return %[[E]]
// KERNELS-LABEL: func.func @encode_text
// KERNELS:         vlm.call @token_index
// KERNELS:         vlm.call @embedding_add
// KERNELS:         vlm.call @take_linear_add
// KERNELS-LABEL: func.func @similarity
// KERNELS:         vlm.call @contrastive_logits

// PLANNED-DAG:   vlm.weight @vision.patches.weight : tensor<64x3x8x8xf32, #vlm.layout<"f32.panel16">>
// PLANNED-DAG:   vlm.weight @text.tokens : tensor<100x64xf32, #vlm.layout<"f32.rows">>
// PLANNED-DAG:   vlm.weight @text.norm.bias : tensor<64xf32, #vlm.layout<"f32.vector">>
// PLANNED-LABEL: func.func @encode_image
// PLANNED-SAME:    vlm.slots = {{\[\[}}#vlm.size<
// PLANNED:         vlm.call @l2_normalize{{.*}}slots = array<i64: -1>
// PLANNED-LABEL: vlm.kernel @patch_embed_add
// PLANNED-SAME:    strategy = "gemm"

// TAP-LABEL: func.func @encode_image
// TAP:         vlm.call @norm_linear_64x192{{[^(]*}}({{.*}}"vision.layers.1.attention.query+key+value"
// TAP:         %[[X:.+]] = vlm.call @linear_add_128x64{{[^(]*}}({{.*}}"vision.layers.1.mlp.fc2"{{.*}} -> tensor<?x17x64xf32>
// TAP:         %[[E:.+]] = vlm.call @l2_normalize
// TAP:         return %[[E]], %[[X]]

// REFERENCE-NOT:   "f32.panel16"
// REFERENCE-LABEL: func.func @encode_image
// REFERENCE:         vlm.call @patch_embed_8_64
// REFERENCE:         vlm.call @prepend
// REFERENCE:         vlm.call @add
// REFERENCE:         vlm.call @norm
// REFERENCE:         vlm.call @norm
// REFERENCE:         vlm.call @linear_64x64
// REFERENCE:         vlm.call @linear_64x64
// REFERENCE:         vlm.call @linear_64x64
// REFERENCE:         vlm.call @attention_4x16
// REFERENCE-LABEL: vlm.kernel @patch_embed_8_64
// REFERENCE-SAME:    strategy = "reference"

// PLANNED-REFERENCE: vlm.kernel @attention_4x16{{.*}}strategy = "attention"

// EXPLAIN-DAG: [Passed] drop-unread-rows | {{.*}}Function=encode_text | {{.*}}"attention 'text.layers.1.attention' is computed for the taken tokens only"
// EXPLAIN-DAG: [Missed] drop-unread-rows | {{.*}}"all rows of layer_norm 'vision.layers.1.norm1' are computed, though some are taken: all its rows are read by
// EXPLAIN-DAG: [Passed] fuse-qkv | {{.*}}"linear 'vision.layers.0.attention.query+key+value' does the work of 3 projections"
// EXPLAIN-DAG: [Passed] fuse-epilogue | {{.*}}"gemm group 'vision.layers.0.mlp.fc1' computes activation 'vision.layers.0.mlp.act'"
// EXPLAIN-DAG: [Passed] fuse-norm-prologue | {{.*}}"gemm group 'vision.layers.0.mlp.fc1' computes layer_norm 'vision.layers.0.norm2'"
// EXPLAIN-DAG: [Analysis] plan-memory
