"""Where Flower is not installed, robustcore.flower says what to do."""


def test_without_flower_one_sentence_says_what_to_install(run_script):
    script = """
        import sys
        sys.modules["flwr"] = None
        import robustcore
        try:
            import robustcore.flower
        except ImportError as error:
            print(error)
    """
    assert run_script(script).stdout == 'robustcore.flower needs Flower: pip install "robustcore[flower]"\n'


def test_robustcore_does_not_load_flower(run_script):
    assert run_script("import sys, robustcore; print('flwr' in sys.modules)").stdout == "False\n"
