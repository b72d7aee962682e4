// A library of nothing: it stands where a GPU's driver would be.
extern "C" const int bundle_emulated_driver = 1;
