//===-- AbiRow.cpp - structs of vlm_abi.h as LLVM constants ---------------===//
#include "codegen/package/AbiRow.h"
#include "llvm/IR/DerivedTypes.h"
#include <iterator>
#include <type_traits>

using namespace llvm;

namespace vlmc {

//===-- Layouts -----------------------------------------------------------===//

/// Bytes of one element of a field's type; 0 for pointers.
template <typename T> static constexpr size_t elementBytes() {
  using Element = std::remove_all_extents_t<T>;
  static_assert(std::is_pointer_v<Element> || std::is_integral_v<Element>);
  return std::is_pointer_v<Element> ? 0 : sizeof(Element);
}

/// Whether fields in their order cover a struct without gap or overlap.
template <size_t N>
static constexpr bool covers(const AbiField (&fields)[N], size_t bytes) {
  size_t end = 0;
  for (const AbiField &field : fields) {
    if (field.offset != end)
      return false;
    end += field.bytes;
  }
  return end == bytes;
}

#define FIELD(STRUCT, NAME)                                                    \
  {#NAME, offsetof(STRUCT, NAME),                                              \
   sizeof(static_cast<STRUCT *>(nullptr)->NAME),                               \
   elementBytes<decltype(static_cast<STRUCT *>(nullptr)->NAME)>()}
#define STRUCT(VARIABLE, TYPE)                                                 \
  static_assert(covers(VARIABLE##Fields, sizeof(TYPE)),                        \
                "a field of " #TYPE " is missing or out of order");            \
  const AbiStruct abi::VARIABLE = {#TYPE, sizeof(TYPE), VARIABLE##Fields};

static constexpr AbiField phaseFields[] = {FIELD(vlm_abi_phase, run),
                                           FIELD(vlm_abi_phase, tasks)};
STRUCT(phase, vlm_abi_phase)

static constexpr AbiField kernelFields[] = {
    FIELD(vlm_abi_kernel, name),      FIELD(vlm_abi_kernel, strategy),
    FIELD(vlm_abi_kernel, n_buffers), FIELD(vlm_abi_kernel, n_dims),
    FIELD(vlm_abi_kernel, n_phases),  FIELD(vlm_abi_kernel, reserved),
    FIELD(vlm_abi_kernel, phases)};
STRUCT(kernel, vlm_abi_kernel)

static constexpr AbiField termFields[] = {FIELD(vlm_abi_term, coefficient),
                                          FIELD(vlm_abi_term, powers),
                                          FIELD(vlm_abi_term, reserved)};
STRUCT(term, vlm_abi_term)

static constexpr AbiField sizeFields[] = {FIELD(vlm_abi_size, terms),
                                          FIELD(vlm_abi_size, n_terms)};
STRUCT(size, vlm_abi_size)

static constexpr AbiField maxSizeFields[] = {FIELD(vlm_abi_max_size, sizes),
                                             FIELD(vlm_abi_max_size, n_sizes)};
STRUCT(maxSize, vlm_abi_max_size)

static constexpr AbiField bufferFields[] = {FIELD(vlm_abi_buffer, kind),
                                            FIELD(vlm_abi_buffer, index),
                                            FIELD(vlm_abi_buffer, offset)};
STRUCT(buffer, vlm_abi_buffer)

static constexpr AbiField mapFields[] = {
    FIELD(vlm_abi_map, rows.terms), FIELD(vlm_abi_map, rows.n_terms),
    FIELD(vlm_abi_map, offset),     FIELD(vlm_abi_map, stride),
    FIELD(vlm_abi_map, columns),    FIELD(vlm_abi_map, buffer),
    FIELD(vlm_abi_map, dtype),      FIELD(vlm_abi_map, box_rows),
    FIELD(vlm_abi_map, box_columns)};
STRUCT(map, vlm_abi_map)

static constexpr AbiField launchFields[] = {
    FIELD(vlm_abi_launch, function),     FIELD(vlm_abi_launch, grid),
    FIELD(vlm_abi_launch, units),        FIELD(vlm_abi_launch, threads),
    FIELD(vlm_abi_launch, flags),        FIELD(vlm_abi_launch, shared_bytes),
    FIELD(vlm_abi_launch, min_rows),     FIELD(vlm_abi_launch, max_rows),
    FIELD(vlm_abi_launch, maps),         FIELD(vlm_abi_launch, n_maps),
    FIELD(vlm_abi_launch, reserved)};
STRUCT(launch, vlm_abi_launch)

static constexpr AbiField productFields[] = {
    FIELD(vlm_abi_product, rows.terms),  FIELD(vlm_abi_product, rows.n_terms),
    FIELD(vlm_abi_product, left_offset), FIELD(vlm_abi_product, left_stride),
    FIELD(vlm_abi_product, columns),     FIELD(vlm_abi_product, depth),
    FIELD(vlm_abi_product, left),        FIELD(vlm_abi_product, right),
    FIELD(vlm_abi_product, bias),        FIELD(vlm_abi_product, residual),
    FIELD(vlm_abi_product, result),      FIELD(vlm_abi_product, activation),
    FIELD(vlm_abi_product, dtype),       FIELD(vlm_abi_product, result_dtype)};
STRUCT(product, vlm_abi_product)

static constexpr AbiField stepFields[] = {
    FIELD(vlm_abi_step, label),       FIELD(vlm_abi_step, buffers),
    FIELD(vlm_abi_step, dims),        FIELD(vlm_abi_step, kernel),
    FIELD(vlm_abi_step, n_operands),  FIELD(vlm_abi_step, n_results),
    FIELD(vlm_abi_step, flops.terms), FIELD(vlm_abi_step, flops.n_terms),
    FIELD(vlm_abi_step, bytes.terms), FIELD(vlm_abi_step, bytes.n_terms),
    FIELD(vlm_abi_step, launches),    FIELD(vlm_abi_step, n_launches),
    FIELD(vlm_abi_step, reserved),    FIELD(vlm_abi_step, product)};
STRUCT(step, vlm_abi_step)

static constexpr AbiField tensorFields[] = {
    FIELD(vlm_abi_tensor, name),      FIELD(vlm_abi_tensor, dtype),
    FIELD(vlm_abi_tensor, rank),      FIELD(vlm_abi_tensor, dims),
    FIELD(vlm_abi_tensor, symbols),   FIELD(vlm_abi_tensor, optional),
    FIELD(vlm_abi_tensor, has_range), FIELD(vlm_abi_tensor, min),
    FIELD(vlm_abi_tensor, max),       FIELD(vlm_abi_tensor, fill),
    FIELD(vlm_abi_tensor, below),     FIELD(vlm_abi_tensor, reserved)};
STRUCT(tensor, vlm_abi_tensor)

static constexpr AbiField symbolFields[] = {
    FIELD(vlm_abi_symbol, name), FIELD(vlm_abi_symbol, min),
    FIELD(vlm_abi_symbol, likely), FIELD(vlm_abi_symbol, max)};
STRUCT(symbol, vlm_abi_symbol)

static constexpr AbiField trimFields[] = {
    FIELD(vlm_abi_trim, kind), FIELD(vlm_abi_trim, input),
    FIELD(vlm_abi_trim, symbol), FIELD(vlm_abi_trim, reserved),
    FIELD(vlm_abi_trim, id)};
STRUCT(trim, vlm_abi_trim)

static constexpr AbiField entryFields[] = {
    FIELD(vlm_abi_entry, name),          FIELD(vlm_abi_entry, symbols),
    FIELD(vlm_abi_entry, inputs),        FIELD(vlm_abi_entry, outputs),
    FIELD(vlm_abi_entry, slots),         FIELD(vlm_abi_entry, steps),
    FIELD(vlm_abi_entry, scratch.sizes), FIELD(vlm_abi_entry, scratch.n_sizes),
    FIELD(vlm_abi_entry, n_symbols),     FIELD(vlm_abi_entry, n_inputs),
    FIELD(vlm_abi_entry, n_outputs),     FIELD(vlm_abi_entry, n_slots),
    FIELD(vlm_abi_entry, n_steps),       FIELD(vlm_abi_entry, reserved),
    FIELD(vlm_abi_entry, trim)};
STRUCT(entry, vlm_abi_entry)

static constexpr AbiField codeFields[] = {
    FIELD(vlm_abi_code, kind), FIELD(vlm_abi_code, reserved),
    FIELD(vlm_abi_code, data), FIELD(vlm_abi_code, bytes)};
STRUCT(code, vlm_abi_code)

static constexpr AbiField deviceFields[] = {
    FIELD(vlm_abi_device, codes), FIELD(vlm_abi_device, n_codes),
    FIELD(vlm_abi_device, major), FIELD(vlm_abi_device, minor),
    FIELD(vlm_abi_device, exact)};
STRUCT(device, vlm_abi_device)

static constexpr AbiField levelFields[] = {
    FIELD(vlm_abi_level, isa),       FIELD(vlm_abi_level, kernels),
    FIELD(vlm_abi_level, entries),   FIELD(vlm_abi_level, n_kernels),
    FIELD(vlm_abi_level, n_entries), FIELD(vlm_abi_level, device)};
STRUCT(level, vlm_abi_level)

static constexpr AbiField imageFields[] = {
    FIELD(vlm_abi_image, resize),
    FIELD(vlm_abi_image, filter),
    FIELD(vlm_abi_image, edge),
    FIELD(vlm_abi_image, longest_edge),
    FIELD(vlm_abi_image, height),
    FIELD(vlm_abi_image, width),
    FIELD(vlm_abi_image, do_crop),
    FIELD(vlm_abi_image, crop_height),
    FIELD(vlm_abi_image, crop_width),
    FIELD(vlm_abi_image, backend),
    FIELD(vlm_abi_image, resize_rows),
    FIELD(vlm_abi_image, resize_columns),
    FIELD(vlm_abi_image, finish),
    FIELD(vlm_abi_image, pil_table),
    FIELD(vlm_abi_image, torchvision_table),
    FIELD(vlm_abi_image, grid),
    FIELD(vlm_abi_image, n_grid),
    FIELD(vlm_abi_image, keeps_key),
    FIELD(vlm_abi_image, background),
    FIELD(vlm_abi_image, group_background),
    FIELD(vlm_abi_image, pans),
    FIELD(vlm_abi_image, pan_crops),
    FIELD(vlm_abi_image, pan_side),
    FIELD(vlm_abi_image, reserved),
    FIELD(vlm_abi_image, pan_ratio)};
STRUCT(image, vlm_abi_image)

static constexpr AbiField rotaryFields[] = {
    FIELD(vlm_abi_rotary, limit), FIELD(vlm_abi_rotary, numbers),
    FIELD(vlm_abi_rotary, long_factors), FIELD(vlm_abi_rotary, size),
    FIELD(vlm_abi_rotary, reserved)};
STRUCT(rotary, vlm_abi_rotary)

static constexpr AbiField rulesFields[] = {
    FIELD(vlm_abi_rules, numbers),
    FIELD(vlm_abi_rules, biased),
    FIELD(vlm_abi_rules, biases),
    FIELD(vlm_abi_rules, forbidden),
    FIELD(vlm_abi_rules, forced_end),
    FIELD(vlm_abi_rules, suppressed),
    FIELD(vlm_abi_rules, first_suppressed),
    FIELD(vlm_abi_rules, n_biased),
    FIELD(vlm_abi_rules, n_forbidden),
    FIELD(vlm_abi_rules, n_forced_end),
    FIELD(vlm_abi_rules, n_suppressed),
    FIELD(vlm_abi_rules, n_first_suppressed),
    FIELD(vlm_abi_rules, forced_begin),
    FIELD(vlm_abi_rules, ngram),
    FIELD(vlm_abi_rules, prompt_ngram),
    FIELD(vlm_abi_rules, min_tokens),
    FIELD(vlm_abi_rules, min_new_tokens),
    FIELD(vlm_abi_rules, decay_start)};
STRUCT(rules, vlm_abi_rules)

static constexpr AbiField generationFields[] = {
    FIELD(vlm_abi_generation, end_tokens),
    FIELD(vlm_abi_generation, n_end_tokens),
    FIELD(vlm_abi_generation, attended),
    FIELD(vlm_abi_generation, pad_token),
    FIELD(vlm_abi_generation, image_token),
    FIELD(vlm_abi_generation, max_new_tokens),
    FIELD(vlm_abi_generation, grid),
    FIELD(vlm_abi_generation, n_grid),
    FIELD(vlm_abi_generation, tile_size),
    FIELD(vlm_abi_generation, tile_features),
    FIELD(vlm_abi_generation, max_length),
    FIELD(vlm_abi_generation, rotary),
    FIELD(vlm_abi_generation, rules),
    FIELD(vlm_abi_generation, start_token),
    FIELD(vlm_abi_generation, beams),
    FIELD(vlm_abi_generation, beam_end),
    FIELD(vlm_abi_generation, length_penalty),
    FIELD(vlm_abi_generation, video_token),
    FIELD(vlm_abi_generation, picture_flags),
    FIELD(vlm_abi_generation, most_tiles)};
STRUCT(generation, vlm_abi_generation)

static constexpr AbiField modelFields[] = {
    FIELD(vlm_abi_model, abi_version),
    FIELD(vlm_abi_model, struct_bytes),
    FIELD(vlm_abi_model, name),
    FIELD(vlm_abi_model, family),
    FIELD(vlm_abi_model, vlmc_version),
    FIELD(vlm_abi_model, levels),
    FIELD(vlm_abi_model, n_levels),
    FIELD(vlm_abi_model, reference),
    FIELD(vlm_abi_model, weights_bytes),
    FIELD(vlm_abi_model, weights_header_bytes),
    FIELD(vlm_abi_model, weights_header_sha256),
    FIELD(vlm_abi_model, tokenizer.offset),
    FIELD(vlm_abi_model, tokenizer.bytes),
    FIELD(vlm_abi_model, image),
    FIELD(vlm_abi_model, head),
    FIELD(vlm_abi_model, text_max_tokens),
    FIELD(vlm_abi_model, pad_token_id),
    FIELD(vlm_abi_model, text_flags),
    FIELD(vlm_abi_model, text_padded_tokens),
    FIELD(vlm_abi_model, generation),
    FIELD(vlm_abi_model, picture_words.offset),
    FIELD(vlm_abi_model, picture_words.bytes),
    FIELD(vlm_abi_model, video)};
STRUCT(model, vlm_abi_model)

#undef FIELD
#undef STRUCT

//===-- AbiWriter ---------------------------------------------------------===//

Constant *AbiWriter::null() const {
  return ConstantPointerNull::get(PointerType::get(module.getContext(), 0));
}

Constant *AbiWriter::global(const Twine &name, Constant *value) {
  return new GlobalVariable(module, value->getType(), /*isConstant=*/true,
                            GlobalValue::PrivateLinkage, value, name);
}

Constant *AbiWriter::string(StringRef text) {
  Constant *&entry = strings[text];
  if (!entry) {
    entry = global("string",
                   ConstantDataArray::getString(module.getContext(), text));
    cast<GlobalVariable>(entry)->setAlignment(Align(1));
  }
  return entry;
}

Constant *AbiWriter::array(StringRef name, ArrayRef<Constant *> rows) {
  if (rows.empty())
    return null();
  Constant *array =
      global(name, ConstantArray::get(
                       ArrayType::get(rows[0]->getType(), rows.size()), rows));
  cast<GlobalVariable>(array)->setAlignment(Align(8));
  return array;
}

Constant *AbiWriter::floats(StringRef name, ArrayRef<float> values) {
  Constant *array =
      global(name, ConstantDataArray::get(module.getContext(), values));
  cast<GlobalVariable>(array)->setAlignment(Align(64));
  return array;
}

Constant *AbiWriter::integers(StringRef name, ArrayRef<int32_t> values) {
  if (values.empty())
    return null();
  return global(name, ConstantDataArray::get(module.getContext(), values));
}

Constant *AbiWriter::bytes(StringRef name, StringRef values) {
  Constant *array = global(
      name, ConstantDataArray::getString(module.getContext(), values, false));
  cast<GlobalVariable>(array)->setAlignment(Align(64));
  return array;
}

Constant *AbiWriter::function(StringRef symbol) {
  // Only the address is taken, so one type does for all.
  auto *type = FunctionType::get(Type::getVoidTy(module.getContext()), false);
  auto *function =
      cast<Function>(module.getOrInsertFunction(symbol, type).getCallee());
  function->setVisibility(GlobalValue::HiddenVisibility);
  function->setDSOLocal(true);
  return function;
}

//===-- AbiRow ------------------------------------------------------------===//

static Type *getFieldType(LLVMContext &context, const AbiField &field) {
  if (!field.element)
    return PointerType::get(context, 0);
  Type *element = IntegerType::get(context, field.element * 8);
  size_t count = field.bytes / field.element;
  return count == 1 ? element : ArrayType::get(element, count);
}

AbiRow::AbiRow(AbiWriter &writer, const AbiStruct &type)
    : writer(writer), type(type) {
  for (const AbiField &field : type.fields)
    values.push_back(Constant::getNullValue(
        getFieldType(writer.module.getContext(), field)));
}

size_t AbiRow::find(StringRef field) const {
  for (auto [index, candidate] : enumerate(type.fields))
    if (field == candidate.name)
      return index;
  llvm_unreachable("no such field in the struct");
}

AbiRow &AbiRow::set(StringRef field, Constant *pointer) {
  values[find(field)] = pointer;
  return *this;
}

AbiRow &AbiRow::set(StringRef field, uint64_t value) {
  Constant *&entry = values[find(field)];
  auto *integer = cast<IntegerType>(entry->getType());
  entry =
      ConstantInt::get(integer, APInt(64, value).trunc(integer->getBitWidth()));
  return *this;
}

AbiRow &AbiRow::set(StringRef field, ArrayRef<int64_t> elements) {
  Constant *&entry = values[find(field)];
  auto *array = cast<ArrayType>(entry->getType());
  auto *integer = cast<IntegerType>(array->getElementType());
  SmallVector<Constant *> constants(array->getNumElements(),
                                    ConstantInt::get(integer, 0));
  for (auto [index, value] : enumerate(elements))
    constants[index] = ConstantInt::get(
        integer, APInt(64, value).trunc(integer->getBitWidth()));
  entry = ConstantArray::get(array, constants);
  return *this;
}

Constant *AbiRow::build() const {
  // Packed: the fields cover the struct, so nothing is left to the target.
  return ConstantStruct::getAnon(writer.module.getContext(), values,
                                 /*Packed=*/true);
}

} // namespace vlmc
