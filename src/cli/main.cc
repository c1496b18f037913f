// The program `larder`.
#include "cli/cli.h"

int main(int argc, char** argv) { return larder::LarderMain(argc, argv); }
