# tools/dev demo: build, then classify a picture and ask about one with the bundled models.

# shellcheck shell=bash
source "$scripts/build.sh"
readonly demo_help="usage: tools/dev demo [--preset release|dev] [--jobs N]
Builds vlmc, classifies a picture file with the small CLIP of models/demo-clip, and asks the small LLaVA of models/demo-llava about another."
readonly demo_model=models/demo-clip
# The model was not trained on this emoji: it knows other cats, and the word.
readonly demo_picture="$demo_model/pictures/cat.png"
readonly demo_labels="a dog,a cat,a house,a red apple,a car,a smiling face,a tree,a fish"
readonly demo_talker=models/demo-llava
readonly demo_scene="$demo_talker/pictures/shapes.png"
readonly demo_questions=("What colour is the square?" "What shape is red?")

run_demo() {
  parse_options "$demo_help" "$@"
  no_more_arguments
  prepare_build
  locked_build
  cd "$root"
  say "build/$preset/bin/vlmc classify $demo_model --image $demo_picture --labels \"$demo_labels\""
  "build/$preset/bin/vlmc" classify "$demo_model" --image "$demo_picture" --labels "$demo_labels"
  local question
  for question in "${demo_questions[@]}"; do
    say "build/$preset/bin/vlmc generate $demo_talker --image $demo_scene --prompt \"$question\""
    "build/$preset/bin/vlmc" generate "$demo_talker" --image "$demo_scene" --prompt "$question"
  done
}
