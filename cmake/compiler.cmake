# ccache when it is there, unless the caller chose a launcher.
find_program(LARDER_CCACHE ccache)
if(LARDER_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${LARDER_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LARDER_CCACHE})
endif()
# Flags every target gets. -ffp-contract=off keeps floating point exact: fma is written out where it is meant.
add_library(larder_flags INTERFACE)
target_compile_options(larder_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -ffp-contract=off
                                              -fno-math-errno)
# `{.model_path = path}` leaves the other members at their defaults on purpose.
target_compile_options(larder_flags INTERFACE -Wno-missing-field-initializers)
# GCC 12 sees overlapping copies in its own std::string operator+ (GCC bug 105651) and uninitialized
# vectors in its own AVX-512 header (105593); clang, the other compiler of CI, still looks for both.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12
   AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  target_compile_options(larder_flags INTERFACE -Wno-restrict -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
if(LARDER_WERROR)
  target_compile_options(larder_flags INTERFACE -Werror)
endif()
if(LARDER_SANITIZE)
  target_compile_options(larder_flags INTERFACE -fsanitize=${LARDER_SANITIZE} -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all)
  target_link_options(larder_flags INTERFACE -fsanitize=${LARDER_SANITIZE})
endif()
if(LARDER_FUZZ)
  target_compile_options(larder_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
target_include_directories(larder_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
