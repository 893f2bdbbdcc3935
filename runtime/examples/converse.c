/* converse.c: asks a model about a picture, one question after the other:
 *   converse NAME.vlm picture.png "What colour is the star?" "Where is it?" */
#include <stdio.h>
#include <string.h>
#include <vlm.h>

static char talk[1 << 16]; /* JSON: the conversation */
static size_t used;

static void put(const char *json) {
  while (*json && used + 1 < sizeof talk)
    talk[used++] = *json++;
}

static void quote(const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    char c[] = {'\\', (unsigned char)text[i] < ' ' ? ' ' : text[i], 0};
    put(c + (c[1] != '"' && c[1] != '\\'));
  }
}

/* Prints what is wrong, if anything; 1 if something is. */
static int failed(vlm_status_t *status) {
  if (!status)
    return 0;
  fprintf(stderr, "converse: %s\n", vlm_status_message(status));
  vlm_status_destroy(status);
  return 1;
}

/* A piece of the answer as soon as it is there; 1 would end the answer. */
static int stream(void *user, const char *text, size_t bytes) {
  (void)user;
  quote(text, bytes);
  return fwrite(text, 1, bytes, stdout) != bytes || fflush(stdout);
}

static int ask(vlm_session_t *session, const vlm_tokenizer_t *tokenizer,
               const vlm_image_t *image, const char *question) {
  put(used ? ",{\"role\":\"user\",\"content\":["
           : "{\"add_generation_prompt\":true,\"messages\":["
             "{\"role\":\"user\",\"content\":[{\"type\":\"image\"},");
  put("{\"type\":\"text\",\"text\":\"");
  quote(question, strlen(question));
  put("\"}]}]}");
  char *prompt = NULL;
  size_t n = 0;
  int special = 0, bad = failed(vlm_tokenizer_render_chat(
                       tokenizer, talk, used, &prompt, &n, &special));
  used -= 2; /* opens it again */
  put(",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"");
  /* What the session holds already, the picture above all, is kept. */
  bad = bad ||
        failed(vlm_session_prompt(session, prompt, n, &image, 1, special)) ||
        failed(vlm_session_generate(session, NULL, stream, NULL, NULL, NULL));
  put("\"}]}");
  vlm_string_destroy(prompt);
  return bad || putchar('\n') == EOF;
}

int main(int argc, char **argv) {
  vlm_model_t *model = NULL;
  vlm_image_t *image = NULL;
  vlm_tokenizer_t *tokenizer = NULL;
  vlm_session_t *session = NULL;
  if (argc < 4)
    return fputs("usage: converse NAME.vlm PICTURE QUESTION...\n", stderr), 2;
  int bad = failed(vlm_model_load(argv[1], NULL, &model)) ||
            failed(vlm_image_decode_file(argv[2], NULL, &image)) ||
            failed(vlm_tokenizer_of_model(model, &tokenizer)) ||
            failed(vlm_session_create(model, NULL, &session));
  for (int i = 3; i < argc && !bad; ++i)
    bad = ask(session, tokenizer, image, argv[i]);
  vlm_session_destroy(session);
  vlm_tokenizer_destroy(tokenizer);
  vlm_image_destroy(image);
  vlm_model_destroy(model);
  return bad;
}
