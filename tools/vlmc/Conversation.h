//===- Conversation.h - Messages and pictures as a prompt -------*- C++ -*-===//
//
// What generate, chat and count share: messages with pictures, written as the
// checkpoint's chat template has them, or a prompt that is taken as it stands.
//
//   Conversation conversation;
//   conversation.addImage("cat.jpg");          // Outcome: decodes it
//   conversation.ask("What is this?");
//   Outcome<Prompt> prompt = conversation.render(tokenizer);
//   vlm_session_prompt(session, prompt->text.data(), ...);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_CONVERSATION_H
#define VLMC_TOOLS_VLMC_CONVERSATION_H

#include "frontend/support/Json.h"
#include "tools/vlmc/Messages.h"
#include "tools/vlmc/PromptInputs.h"

namespace vlmc::tool {

/// A text that can be given to a session.
struct RenderedPrompt {
  std::string text;
  bool addsSpecial = true;
};

/// What --chat-template gives a request: the name of one of the checkpoint's
/// templates as it stands, else the contents of the file.
/// Errors: neither.
Outcome<std::string> openChatTemplate(const vlm_tokenizer_t *tokenizer,
                                      const std::string &given);

/// Writes messages as a chat template says, ready for an answer; `chatTemplate`
/// as openChatTemplate() has it, "" for the tokenizer's.
/// Errors: no template; those of the template.
Outcome<RenderedPrompt> renderMessages(const vlm_tokenizer_t *tokenizer,
                                       const OrderedJson &messages,
                                       const std::string &chatTemplate = "");

class Conversation {
public:
  /// Decodes a picture that belongs to the next question.
  std::optional<Fault> addImage(const std::string &path);
  /// The same of a video's frames, in a folder or one by one (Videos.h).
  std::optional<Fault> addVideo(const std::string &path);
  /// Forgets the pictures of a question that is not asked.
  void dropWaiting();
  void ask(const std::string &text);
  void answered(const std::string &text);
  /// Takes the last question back.
  void forget();

  /// All messages by the template.
  Outcome<RenderedPrompt> render(const vlm_tokenizer_t *tokenizer,
                                 const std::string &chatTemplate) const;
  /// The last question alone, as it stands; pictures without a placeholder come
  /// first.
  RenderedPrompt renderPlain(const vlm_tokenizer_t *tokenizer) const;

  std::vector<const vlm_image_t *> images() const;

private:
  OrderedJson messages = OrderedJson::array();
  std::vector<Image> pictures;
  size_t waiting = 0; ///< pictures of the next question
  std::vector<size_t> perQuestion;
  std::string last;
};

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_CONVERSATION_H
