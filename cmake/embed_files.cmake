# cmake -DFOLDER=… -DOUTPUT=… -DFILES="a b" -P embed_files.cmake
#   Writes a C++ file with the bytes of the named files of a folder, for runtime/server/page_files.h.
separate_arguments(FILES)
set(arrays "")
set(rows "")
set(number 0)
foreach(file ${FILES})
  file(READ ${FOLDER}/${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "constexpr unsigned char kFile${number}[] = {${bytes}};\n")
  string(APPEND rows "    {\"${file}\", {reinterpret_cast<const char*>(kFile${number}), "
                     "sizeof kFile${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT}.new "#include \"runtime/server/page_files.h\"

namespace bundle::server {
namespace {
${arrays}
}  // namespace

std::span<const PageFile> page_files() {
  static const PageFile files[] = {
${rows}  };
  return files;
}

}  // namespace bundle::server
")
file(RENAME ${OUTPUT}.new ${OUTPUT})
