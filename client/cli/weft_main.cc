// weft: the command line tool.

#include <iostream>

#include "client/cli/app.h"

int main(int argc, char** argv) { return weft::cli::Run(argc, argv, std::cout, std::cerr); }
