//===- StatePickle.cpp - The pickle of a state dict -----------------------===//
//
// Containers live in one list of the machine and values name them by number:
// a pickle may nest them as deep as it likes, or in rings.
//
//===----------------------------------------------------------------------===//
#include "frontend/checkpoint/StatePickle.h"

#include <deque>
#include <iterator>
#include <unordered_map>

namespace vlmc {

namespace {

enum class Kind : uint8_t {
  None,
  Bool,
  Int,
  Float,
  Text,
  Global, ///< text: "module name"
  Tuple,
  List,
  Dict,    ///< items: keys and values in turn
  Storage, ///< items: type, key
  Tensor,  ///< items: storage, offset, shape, strides
  Mark,
};

struct Item {
  Kind kind = Kind::None;
  int64_t number = 0;    ///< of an integer; of a container its place
  std::string_view text; ///< of the pickle or of the machine's names
};

/// The opcodes that torch.save writes, of protocols 2 to 5.
enum Opcode : uint8_t {
  opMark = '(',
  opStop = '.',
  opPop = '0',
  opPopMark = '1',
  opBinFloat = 'G',
  opBinInt = 'J',
  opBinInt1 = 'K',
  opBinInt2 = 'M',
  opNone = 'N',
  opBinPersId = 'Q',
  opReduce = 'R',
  opBinString = 'T',
  opShortBinString = 'U',
  opBinUnicode = 'X',
  opAppend = 'a',
  opBuild = 'b',
  opGlobal = 'c',
  opAppends = 'e',
  opBinGet = 'h',
  opLongBinGet = 'j',
  opList = 'l',
  opEmptyList = ']',
  opBinPut = 'q',
  opLongBinPut = 'r',
  opSetItem = 's',
  opTuple = 't',
  opEmptyTuple = ')',
  opSetItems = 'u',
  opEmptyDict = '}',
  opProto = 0x80,
  opTuple1 = 0x85,
  opTuple2 = 0x86,
  opTuple3 = 0x87,
  opNewTrue = 0x88,
  opNewFalse = 0x89,
  opLong1 = 0x8a,
  opShortBinUnicode = 0x8c,
  opBinUnicode8 = 0x8d,
  opStackGlobal = 0x93,
  opMemoize = 0x94,
  opFrame = 0x95,
};

class Machine {
public:
  explicit Machine(std::string_view bytes) : bytes(bytes) {}
  std::optional<std::string> run(std::vector<PickledTensor> &tensors);

private:
  using Items = std::vector<Item>;

  bool fail(const std::string &what) {
    if (problem.empty())
      problem = what;
    return false;
  }
  bool truncated() {
    return fail("expected more of a pickle, found its end; the file is "
                "damaged or truncated, fetch or save it again");
  }
  bool malformed() {
    return fail("expected a pickle of torch.save, found other operands at "
                "byte " +
                std::to_string(at) +
                "; the file is damaged, fetch or save it again");
  }
  bool foreign(const std::string &what) {
    return fail("expected tensors, dicts, lists and plain values, found " +
                what +
                "; nothing but tensors is read from a pickle: save the "
                "model's state_dict(), or as safetensors");
  }

  bool number(int count, uint64_t &value);
  bool take(uint64_t count, std::string_view &text);
  bool line(std::string_view &text);
  bool step(uint8_t opcode);
  bool stepPlain(uint8_t opcode);
  bool stepText(uint8_t opcode);
  bool stepMemo(uint8_t opcode);
  bool stepContainer(uint8_t opcode);
  bool stepObject(uint8_t opcode);

  bool push(Kind kind, int64_t value = 0, std::string_view text = "") {
    stack.push_back({kind, value, text});
    return true;
  }
  bool pushGlobal(std::string_view module, std::string_view name);
  bool pushItems(Kind kind, Items items) {
    containers.push_back(std::move(items));
    return push(kind, static_cast<int64_t>(containers.size()) - 1);
  }
  bool pop(Item &item) {
    if (stack.empty() || stack.back().kind == Kind::Mark)
      return malformed();
    item = std::move(stack.back());
    stack.pop_back();
    return true;
  }
  bool popTo(size_t count, Items &items);
  bool popMark(Items &items);
  bool extend(Kind kind, const Items &items);
  bool reduce();
  bool makeStorage();
  bool makeTensor(const Items &arguments);
  Items &itemsOf(const Item &item) { return containers[item.number]; }
  bool readIntegers(const Item &item, std::vector<int64_t> &out);
  bool addTensor(const Item &name, const Item &value,
                 std::vector<PickledTensor> &tensors);
  bool collect(const Item &root, bool isInner,
               std::vector<PickledTensor> &tensors);

  std::string_view bytes;
  uint64_t at = 0;
  std::string problem;
  Items stack;
  std::vector<Items> containers;
  std::deque<std::string> names; ///< of globals; they stay where they are
  std::unordered_map<uint64_t, Item> memo;
};

} // namespace

bool Machine::take(uint64_t count, std::string_view &text) {
  if (count > bytes.size() - at)
    return truncated();
  text = bytes.substr(at, count);
  at += count;
  return true;
}

bool Machine::number(int count, uint64_t &value) {
  std::string_view text;
  if (!take(count, text))
    return false;
  value = 0;
  for (int i = count - 1; i >= 0; --i)
    value = value << 8 | static_cast<uint8_t>(text[i]);
  return true;
}

bool Machine::line(std::string_view &text) {
  size_t end = bytes.find('\n', at);
  if (end == bytes.npos)
    return truncated();
  text = bytes.substr(at, end - at);
  at = end + 1;
  return true;
}

bool Machine::popTo(size_t count, Items &items) {
  items.resize(count);
  for (size_t i = count; i-- > 0;)
    if (!pop(items[i]))
      return false;
  return true;
}

/// What lies above the last mark, and the mark.
bool Machine::popMark(Items &items) {
  size_t begin = stack.size();
  while (begin > 0 && stack[begin - 1].kind != Kind::Mark)
    --begin;
  if (begin == 0)
    return malformed();
  items.assign(std::make_move_iterator(stack.begin() + ptrdiff_t(begin)),
               std::make_move_iterator(stack.end()));
  stack.resize(begin - 1);
  return true;
}

/// Adds to the container on top of the stack.
bool Machine::extend(Kind kind, const Items &items) {
  if (stack.empty() || stack.back().kind != kind ||
      (kind == Kind::Dict && items.size() % 2))
    return malformed();
  Items &own = itemsOf(stack.back());
  own.insert(own.end(), items.begin(), items.end());
  return true;
}

//===----------------------------------------------------------------------===//
// Opcodes
//===----------------------------------------------------------------------===//

bool Machine::stepPlain(uint8_t opcode) {
  uint64_t value = 0;
  switch (opcode) {
  case opNone:
    return push(Kind::None);
  case opNewTrue:
  case opNewFalse:
    return push(Kind::Bool, opcode == opNewTrue);
  case opBinInt1:
    return number(1, value) && push(Kind::Int, static_cast<int64_t>(value));
  case opBinInt2:
    return number(2, value) && push(Kind::Int, static_cast<int64_t>(value));
  case opBinInt:
    return number(4, value) &&
           push(Kind::Int, static_cast<int32_t>(static_cast<uint32_t>(value)));
  case opBinFloat:
    return number(8, value) && push(Kind::Float);
  case opLong1: {
    uint64_t count = 0;
    if (!number(1, count))
      return false;
    if (count > 8)
      return foreign("an integer of more than 64 bits");
    if (!number(static_cast<int>(count), value))
      return false;
    if (count > 0 && count < 8 && value >> (8 * count - 1))
      value |= ~uint64_t(0) << (8 * count);
    return push(Kind::Int, static_cast<int64_t>(value));
  }
  default:
    return malformed();
  }
}

bool Machine::stepText(uint8_t opcode) {
  int lengthBytes = opcode == opShortBinUnicode || opcode == opShortBinString
                        ? 1
                    : opcode == opBinUnicode8 ? 8
                                              : 4;
  uint64_t length = 0;
  std::string_view text;
  return number(lengthBytes, length) && take(length, text) &&
         push(Kind::Text, 0, text);
}

bool Machine::stepMemo(uint8_t opcode) {
  uint64_t place = memo.size();
  if (opcode != opMemoize &&
      !number(opcode == opBinPut || opcode == opBinGet ? 1 : 4, place))
    return false;
  if (opcode == opBinGet || opcode == opLongBinGet) {
    auto found = memo.find(place);
    if (found == memo.end())
      return malformed();
    stack.push_back(found->second);
    return true;
  }
  if (stack.empty() || stack.back().kind == Kind::Mark)
    return malformed();
  memo[place] = stack.back();
  return true;
}

bool Machine::stepContainer(uint8_t opcode) {
  Items items;
  switch (opcode) {
  case opEmptyTuple:
    return pushItems(Kind::Tuple, {});
  case opEmptyList:
    return pushItems(Kind::List, {});
  case opEmptyDict:
    return pushItems(Kind::Dict, {});
  case opTuple1:
  case opTuple2:
  case opTuple3:
    return popTo(opcode - opTuple1 + 1, items) &&
           pushItems(Kind::Tuple, std::move(items));
  case opTuple:
  case opList:
    return popMark(items) &&
           pushItems(opcode == opTuple ? Kind::Tuple : Kind::List,
                     std::move(items));
  case opAppend:
    return popTo(1, items) && extend(Kind::List, items);
  case opAppends:
    return popMark(items) && extend(Kind::List, items);
  case opSetItem:
    return popTo(2, items) && extend(Kind::Dict, items);
  case opSetItems:
    return popMark(items) && extend(Kind::Dict, items);
  default:
    return malformed();
  }
}

/// A storage is named by a tuple ("storage", type, key, device, elements).
bool Machine::makeStorage() {
  Item id;
  if (!pop(id))
    return false;
  if (id.kind != Kind::Tuple)
    return malformed();
  const Items &parts = itemsOf(id);
  if (parts.size() < 4 || parts[0].text != "storage" ||
      parts[1].kind != Kind::Global || parts[2].kind != Kind::Text)
    return malformed();
  return pushItems(Kind::Storage, {parts[1], parts[2]});
}

bool Machine::makeTensor(const Items &arguments) {
  // What makes a tensor, and the axes that PyTorch allows: more would only
  // multiply by the tensors that share it.
  constexpr size_t mostArguments = 16, mostAxes = 64;
  if (arguments.size() < 4 || arguments.size() > mostArguments ||
      arguments[0].kind != Kind::Storage || arguments[1].kind != Kind::Int ||
      arguments[2].kind != Kind::Tuple || arguments[3].kind != Kind::Tuple ||
      itemsOf(arguments[2]).size() > mostAxes ||
      itemsOf(arguments[3]).size() > mostAxes)
    return malformed();
  return pushItems(Kind::Tensor, {arguments.begin(), arguments.begin() + 4});
}

/// Calls, of which only those that make tensors and dicts are known.
bool Machine::reduce() {
  Items both;
  if (!popTo(2, both))
    return false;
  if (both[0].kind != Kind::Global || both[1].kind != Kind::Tuple)
    return malformed();
  const Items &arguments = itemsOf(both[1]);
  const std::string_view name = both[0].text;
  if (name == "torch._utils _rebuild_tensor_v2")
    return makeTensor(arguments);
  if (name == "torch._utils _rebuild_parameter" ||
      name == "torch._utils _rebuild_parameter_with_state") {
    if (arguments.empty() || arguments[0].kind != Kind::Tensor)
      return malformed();
    stack.push_back(arguments[0]);
    return true;
  }
  if (name == "collections OrderedDict" && arguments.empty())
    return pushItems(Kind::Dict, {});
  std::string spelled(name);
  spelled[spelled.find(' ')] = '.';
  return foreign("a call of " + spelled.substr(0, 60));
}

bool Machine::pushGlobal(std::string_view module, std::string_view name) {
  constexpr size_t most = 256;
  if (module.size() > most || name.size() > most)
    return foreign("the name of a class of more than 256 bytes");
  return push(
      Kind::Global, 0,
      names.emplace_back(std::string(module) + " " + std::string(name)));
}

bool Machine::stepObject(uint8_t opcode) {
  std::string_view module, name;
  Items both;
  switch (opcode) {
  case opGlobal:
    return line(module) && line(name) && pushGlobal(module, name);
  case opStackGlobal:
    if (!popTo(2, both))
      return false;
    if (both[0].kind != Kind::Text || both[1].kind != Kind::Text)
      return malformed();
    return pushGlobal(both[0].text, both[1].text);
  case opBinPersId:
    return makeStorage();
  case opReduce:
    return reduce();
  case opBuild: // attributes of a state dict: versions of modules
    if (!popTo(1, both))
      return false;
    if (stack.empty() || stack.back().kind != Kind::Dict)
      return foreign("an object with a state of its own");
    return true;
  default:
    return malformed();
  }
}

bool Machine::step(uint8_t opcode) {
  Item ignored;
  Items items;
  std::string_view text;
  uint64_t value = 0;
  switch (opcode) {
  case opProto:
    return number(1, value);
  case opFrame:
    return number(8, value);
  case opMark:
    return push(Kind::Mark);
  case opPop:
    return pop(ignored);
  case opPopMark:
    return popMark(items);
  case opNone:
  case opNewTrue:
  case opNewFalse:
  case opBinInt:
  case opBinInt1:
  case opBinInt2:
  case opBinFloat:
  case opLong1:
    return stepPlain(opcode);
  case opBinString:
  case opShortBinString:
  case opBinUnicode:
  case opShortBinUnicode:
  case opBinUnicode8:
    return stepText(opcode);
  case opBinGet:
  case opLongBinGet:
  case opBinPut:
  case opLongBinPut:
  case opMemoize:
    return stepMemo(opcode);
  case opGlobal:
  case opStackGlobal:
  case opBinPersId:
  case opReduce:
  case opBuild:
    return stepObject(opcode);
  case opAppend:
  case opAppends:
  case opEmptyDict:
  case opEmptyList:
  case opEmptyTuple:
  case opList:
  case opSetItem:
  case opSetItems:
  case opTuple:
  case opTuple1:
  case opTuple2:
  case opTuple3:
    return stepContainer(opcode);
  default:
    return foreign("the opcode " + std::to_string(opcode));
  }
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

bool Machine::readIntegers(const Item &item, std::vector<int64_t> &out) {
  for (const Item &each : itemsOf(item)) {
    if (each.kind != Kind::Int || each.number < 0)
      return malformed();
    out.push_back(each.number);
  }
  return true;
}

bool Machine::addTensor(const Item &name, const Item &value,
                        std::vector<PickledTensor> &tensors) {
  const Items parts = itemsOf(value);
  const Items storage = itemsOf(parts[0]);
  PickledTensor tensor;
  tensor.name = name.text;
  const std::string_view type = storage[0].text;
  tensor.storageType = type.substr(type.find(' ') + 1);
  tensor.key = storage[1].text;
  tensor.offset = parts[1].number;
  if (tensor.offset < 0 || !readIntegers(parts[2], tensor.shape) ||
      !readIntegers(parts[3], tensor.strides) ||
      tensor.shape.size() != tensor.strides.size())
    return malformed();
  tensors.push_back(std::move(tensor));
  return true;
}

bool Machine::collect(const Item &root, bool isInner,
                      std::vector<PickledTensor> &tensors) {
  if (root.kind != Kind::Dict)
    return foreign("no dict of tensors");
  const Items items = itemsOf(root);
  for (size_t i = 0; i < items.size(); i += 2)
    if (items[i].kind == Kind::Text && items[i + 1].kind == Kind::Tensor &&
        !addTensor(items[i], items[i + 1], tensors))
      return false;
  if (!tensors.empty() || isInner)
    return true;
  for (const char *name : {"state_dict", "model", "module"})
    for (size_t i = 0; i < items.size(); i += 2)
      if (items[i].text == name && items[i + 1].kind == Kind::Dict)
        return collect(items[i + 1], /*isInner=*/true, tensors);
  return true;
}

std::optional<std::string> Machine::run(std::vector<PickledTensor> &tensors) {
  while (problem.empty()) {
    uint64_t opcode = 0;
    if (!number(1, opcode))
      break;
    if (opcode != opStop) {
      step(static_cast<uint8_t>(opcode));
      continue;
    }
    Item root;
    if (pop(root) && collect(root, /*isInner=*/false, tensors))
      return std::nullopt;
  }
  return problem;
}

std::optional<std::string>
readStatePickle(std::string_view bytes, std::vector<PickledTensor> &tensors) {
  return Machine(bytes).run(tensors);
}

} // namespace vlmc
