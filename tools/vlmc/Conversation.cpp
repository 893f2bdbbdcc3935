//===- Conversation.cpp - Messages and pictures as a prompt ---------------===//
#include "tools/vlmc/Conversation.h"

#include "frontend/support/MappedFile.h"
#include "tools/vlmc/Videos.h"

#include <filesystem>

namespace vlmc::tool {

Outcome<std::string> openChatTemplate(const vlm_tokenizer_t *tokenizer,
                                      const std::string &given) {
  size_t bytes = 0;
  if (given.empty() ||
      vlm_tokenizer_named_chat_template(tokenizer, given.c_str(), &bytes))
    return given;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(given, ignored))
    return Fault("--chat-template: expected a file or the name of one of the "
                 "checkpoint's templates, found '" +
                 given + "', which is neither; check the name");
  Result<MappedFile> file = MappedFile::open(given);
  if (!file)
    return Fault(file.takeFailure());
  std::string source(file->text());
  // A template of mere text is one too; the name of one it is not.
  return source.find('{') == source.npos ? source + "{##}" : source;
}

Outcome<RenderedPrompt> renderMessages(const vlm_tokenizer_t *tokenizer,
                                       const OrderedJson &messages,
                                       const std::string &chatTemplate) {
  if (!messages.is_array() || messages.empty())
    return Fault("messages: expected a list of objects with role and content, "
                 "found " +
                 describe(Json(messages)) + "; mend the messages");
  OrderedJson request = {{"messages", normalisedMessages(messages)},
                         {"add_generation_prompt", true}};
  if (!chatTemplate.empty())
    request["chat_template"] = chatTemplate;
  std::string json = request.dump(-1, ' ', /*ensure_ascii=*/false,
                                  OrderedJson::error_handler_t::replace);
  char *text = nullptr;
  size_t bytes = 0;
  int special = 1;
  if (std::optional<Fault> fault = check(vlm_tokenizer_render_chat(
          tokenizer, json.data(), json.size(), &text, &bytes, &special)))
    return Fault("messages: " + fault->message, fault->code);
  RenderedPrompt prompt{std::string(text, bytes), special != 0};
  vlm_string_destroy(text);
  return prompt;
}

std::optional<Fault> Conversation::addImage(const std::string &path) {
  Outcome<Image> image = decodeImage(path);
  if (!image)
    return image.takeFault();
  pictures.push_back(std::move(*image));
  ++waiting;
  return std::nullopt;
}

std::optional<Fault> Conversation::addVideo(const std::string &path) {
  Outcome<std::vector<std::string>> frames = framesOf(path);
  if (!frames)
    return frames.takeFault();
  Outcome<Image> video = decodeVideo(*frames);
  if (!video)
    return video.takeFault();
  pictures.push_back(std::move(*video));
  ++waiting;
  return std::nullopt;
}

/// Whether a template takes messages in parts; others take mere texts.
static bool takesParts(const vlm_tokenizer_t *tokenizer,
                       const std::string &chatTemplate) {
  size_t bytes = 0;
  const char *known = chatTemplate.empty()
                          ? vlm_tokenizer_chat_template(tokenizer, &bytes)
                          : vlm_tokenizer_named_chat_template(
                                tokenizer, chatTemplate.c_str(), &bytes);
  std::string_view source =
      known ? std::string_view(known, bytes) : std::string_view(chatTemplate);
  return source.find("type") != source.npos;
}

Outcome<RenderedPrompt>
Conversation::render(const vlm_tokenizer_t *tokenizer,
                     const std::string &chatTemplate) const {
  if (takesParts(tokenizer, chatTemplate))
    return renderMessages(tokenizer, messages, chatTemplate);
  OrderedJson plain = messages;
  std::string token = pictureToken(tokenizer), video = videoToken(tokenizer);
  for (OrderedJson &message : plain) {
    std::string text;
    for (const OrderedJson &part : message["content"])
      text +=
          part["type"] == "text" ? part["text"].get<std::string>()
          : vlm_tokenizer_pictures_first(tokenizer)
              ? ""
              : (part["type"] == "video" && !video.empty() ? video : token) +
                    "\n";
    message["content"] = text;
  }
  return renderMessages(tokenizer, plain, chatTemplate);
}

void Conversation::ask(const std::string &text) {
  OrderedJson content = OrderedJson::array();
  for (size_t i = pictures.size() - waiting; i < pictures.size(); ++i)
    content.push_back(
        {{"type",
          vlm_image_frame_count(pictures[i].get()) ? "video" : "image"}});
  content.push_back({{"type", "text"}, {"text", text}});
  messages.push_back({{"role", "user"}, {"content", content}});
  perQuestion.push_back(waiting);
  waiting = 0;
  last = text;
}

void Conversation::dropWaiting() {
  pictures.erase(pictures.end() - ptrdiff_t(waiting), pictures.end());
  waiting = 0;
}

void Conversation::answered(const std::string &text) {
  OrderedJson content =
      OrderedJson::array({{{"type", "text"}, {"text", text}}});
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
  std::string video = videoToken(tokenizer);
  const bool hasVideo = !video.empty() && last.find(video) != last.npos;
  if (!token.empty() && last.find(token) == last.npos && !hasVideo &&
      !vlm_tokenizer_pictures_first(tokenizer))
    for (const Image &picture : pictures)
      prompt.text +=
          (vlm_image_frame_count(picture.get()) && !video.empty() ? video
                                                                  : token) +
          "\n";
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
