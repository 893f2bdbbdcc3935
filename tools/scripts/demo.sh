# tools/dev demo: build, then classify a picture with the bundled model.

# shellcheck shell=bash
source "$scripts/build.sh"
readonly demo_help="usage: tools/dev demo [--preset release|dev] [--jobs N]
Builds vlmc and classifies a picture file with the small CLIP model of models/demo-clip."
readonly demo_labels="a dog,a cat,a house,a red apple,a car,a smiling face,a tree,a fish"

run_demo() {
  parse_options "$demo_help" "$@"
  no_more_arguments
  prepare_build
  locked_build
  local model=models/demo-clip picture
  cd "$root"
  picture="$(find "$model/pictures" -type f \( -name '*.png' -o -name '*.jpg' \) | LC_ALL=C sort | head -n 1)"
  [[ -n $picture ]] || die "no picture in $model/pictures"
  say "build/$preset/bin/vlmc classify $model --image $picture --labels \"$demo_labels\""
  "build/$preset/bin/vlmc" classify "$model" --image "$picture" --labels "$demo_labels"
}
