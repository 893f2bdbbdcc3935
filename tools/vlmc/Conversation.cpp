//===- Conversation.cpp - Messages and pictures as a prompt ---------------===//
#include "tools/vlmc/Conversation.h"

namespace vlmc::tool {

Outcome<RenderedPrompt> renderMessages(const vlm_tokenizer_t *tokenizer,
                                       const Json &messages) {
  size_t bytes = 0;
  if (!vlm_tokenizer_chat_template(tokenizer, &bytes))
    return Fault("messages: expected a checkpoint with a chat template "
                 "(chat_template.jinja), found none; give the prompt itself");
  return Fault("messages: conversations are not supported yet; give the "
               "prompt as 'text'");
}

std::vector<std::string> picturesOf(const Json &messages) {
  std::vector<std::string> paths;
  if (!messages.is_array())
    return paths;
  for (const Json &message : messages) {
    if (!message.is_object() || !message.contains("content") ||
        !message["content"].is_array())
      continue;
    for (const Json &part : message["content"]) {
      if (!part.is_object() || !part.contains("type") ||
          part["type"] != "image")
        continue;
      for (const char *key : {"image", "url", "path"})
        if (part.contains(key) && part[key].is_string())
          paths.push_back(part[key].get<std::string>());
    }
  }
  return paths;
}

std::optional<Fault> Conversation::addImage(const std::string &path) {
  Outcome<Image> image = decodeImage(path);
  if (!image)
    return image.takeFault();
  pictures.push_back(std::move(*image));
  ++waiting;
  return std::nullopt;
}

void Conversation::ask(const std::string &text) {
  Json content = Json::array();
  for (size_t i = 0; i < waiting; ++i)
    content.push_back({{"type", "image"}});
  content.push_back({{"type", "text"}, {"text", text}});
  messages.push_back({{"role", "user"}, {"content", content}});
  perQuestion.push_back(waiting);
  waiting = 0;
  last = text;
}

void Conversation::answered(const std::string &text) {
  Json content = Json::array({{{"type", "text"}, {"text", text}}});
  messages.push_back({{"role", "assistant"}, {"content", content}});
}

void Conversation::forget() {
  messages.erase(messages.end() - 1);
  pictures.erase(pictures.end() - ptrdiff_t(perQuestion.back()),
                 pictures.end());
  perQuestion.pop_back();
}

RenderedPrompt
Conversation::renderPlain(const vlm_tokenizer_t *tokenizer) const {
  RenderedPrompt prompt;
  std::string token = pictureToken(tokenizer);
  if (!token.empty() && last.find(token) == last.npos)
    for (size_t i = 0; i < pictures.size(); ++i)
      prompt.text += token + "\n";
  prompt.text += last;
  return prompt;
}

std::vector<const vlm_image_t *> Conversation::images() const {
  std::vector<const vlm_image_t *> result;
  for (const Image &picture : pictures)
    result.push_back(picture.get());
  return result;
}

} // namespace vlmc::tool
