# tools/dev demo: build, then classify a picture with the bundled model.

# shellcheck shell=bash
source "$scripts/build.sh"
readonly demo_help="usage: tools/dev demo [--preset release|dev] [--jobs N]
Builds vlmc and classifies a picture file with the small CLIP model of models/demo-clip."
readonly demo_model=models/demo-clip
# The model was not trained on this emoji: it knows other cats, and the word.
readonly demo_picture="$demo_model/pictures/cat.png"
readonly demo_labels="a dog,a cat,a house,a red apple,a car,a smiling face,a tree,a fish"

run_demo() {
  parse_options "$demo_help" "$@"
  no_more_arguments
  prepare_build
  locked_build
  cd "$root"
  say "build/$preset/bin/vlmc classify $demo_model --image $demo_picture --labels \"$demo_labels\""
  "build/$preset/bin/vlmc" classify "$demo_model" --image "$demo_picture" --labels "$demo_labels"
}
