# generated/version.h with the commit; refreshed when CMake runs.
find_package(Git QUIET)
set(LARDER_COMMIT "unknown")
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${CMAKE_SOURCE_DIR} rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE RC)
  if(RC EQUAL 0)
    set(LARDER_COMMIT ${COMMIT})
  endif()
endif()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/version.h CONTENT
"// Made by cmake/version.cmake.
#pragma once
#define LARDER_VERSION \"${PROJECT_VERSION}\"
#define LARDER_COMMIT \"${LARDER_COMMIT}\"
")
